// The square (-1/2, 1/2)² without four disks of radius 1/10, meshed with curved (second-order) triangles.
// gmsh -2 -order 2 four_holes.geo -o four_holes.msh
SetFactory("OpenCASCADE");
Rectangle(1) = {-0.5, -0.5, 0, 1, 1};
Disk(2) = {-0.3, -0.3, 0, 0.1};
Disk(3) = {0.3, -0.3, 0, 0.1};
Disk(4) = {-0.3, 0.3, 0, 0.1};
Disk(5) = {0.3, 0.3, 0, 0.1};
BooleanDifference(6) = { Surface{1}; Delete; }{ Surface{2, 3, 4, 5}; Delete; };

eps = 1e-3;
Physical Curve("circles") = Curve In BoundingBox{-0.45, -0.45, -eps, 0.45, 0.45, eps};
Physical Curve("square") = {Curve In BoundingBox{-0.5 - eps, -0.5 - eps, -eps, -0.5 + eps, 0.5 + eps, eps},
                            Curve In BoundingBox{0.5 - eps, -0.5 - eps, -eps, 0.5 + eps, 0.5 + eps, eps},
                            Curve In BoundingBox{-0.5 - eps, -0.5 - eps, -eps, 0.5 + eps, -0.5 + eps, eps},
                            Curve In BoundingBox{-0.5 - eps, 0.5 - eps, -eps, 0.5 + eps, 0.5 + eps, eps}};
Physical Surface("plate") = {6};

Mesh.MeshSizeMax = 0.2;
Mesh.MeshSizeFromCurvature = 40;   // arcs per circle: their radius is right to 1e-6 of itself
Mesh.ElementOrder = 2;
Mesh.Binary = 1;
