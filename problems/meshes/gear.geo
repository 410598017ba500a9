// A gear of twelve teeth with rounded roots and a bore, meshed with curved (second-order) triangles.
// gmsh -2 -order 2 gear.geo -o gear.msh
// Physical names become the tags of ds('…') and of [[boundary]] on = "…".
teeth = 12;
tip = 1.0;       // radius at the tips of the teeth
root = 0.78;     // radius at their roots
top = 0.065;     // half the angle of a tooth at its tip
foot = 0.135;    // half the angle of a tooth at its root
fillet = 0.035;  // radius of the roundings
bore = 0.3;
pitch = 2 * Pi / teeth;

rim[] = {};
For k In {0:teeth-1}
  For side In {-1:1:2}
    a = k * pitch + side * foot;   // where flank and root would meet
    b = k * pitch + side * top;    // the flank's other end
    c = k * pitch + side * (pitch - foot);  // the root's other end
    ax = root * Cos(a);  ay = root * Sin(a);
    fx = tip * Cos(b) - ax;  fy = tip * Sin(b) - ay;  f = Sqrt(fx^2 + fy^2);
    gx = root * Cos(c) - ax;  gy = root * Sin(c) - ay;  g = Sqrt(gx^2 + gy^2);
    half = Acos((fx * gx + fy * gy) / (f * g)) / 2;
    cut = fillet / Tan(half);
    mx = fx / f + gx / g;  my = fy / f + gy / g;  m = Sqrt(mx^2 + my^2);
    p = 10 * k + 4 * (side > 0);
    Point(p + 1) = {ax + cut * gx / g, ay + cut * gy / g, 0, 0.05};
    Point(p + 2) = {ax + cut * fx / f, ay + cut * fy / f, 0, 0.05};
    Point(p + 3) = {ax + fillet / Sin(half) * mx / m, ay + fillet / Sin(half) * my / m, 0};
    Point(p + 4) = {tip * Cos(b), tip * Sin(b), 0, 0.07};
  EndFor
EndFor
For k In {0:teeth-1}
  p = 10 * k;  next = 10 * ((k + 1) % teeth);
  Circle(p + 1) = {p + 1, p + 3, p + 2};
  Line(p + 2) = {p + 2, p + 4};
  Line(p + 3) = {p + 4, p + 8};
  Line(p + 4) = {p + 8, p + 6};
  Circle(p + 5) = {p + 6, p + 7, p + 5};
  Line(p + 6) = {p + 5, next + 1};
  rim[] += {p + 1:p + 6};
EndFor
Point(1000) = {0, 0, 0};
For k In {0:3}
  Point(1001 + k) = {bore * Cos(k * Pi / 2), bore * Sin(k * Pi / 2), 0, 0.12};
EndFor
For k In {0:3}
  Circle(1001 + k) = {1001 + k, 1000, 1001 + (k + 1) % 4};
EndFor
Curve Loop(1) = rim[];
Curve Loop(2) = {1001:1004};
Plane Surface(1) = {1, 2};
Physical Curve("teeth") = rim[];
Physical Curve("bore") = {1001:1004};
Physical Surface("gear") = {1};
Mesh.MeshSizeFactor = 1.5;
Mesh.ElementOrder = 2;
Mesh.HighOrderOptimize = 1;
