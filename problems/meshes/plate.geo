// A 2 × 1 plate with two round holes, meshed with curved (second-order) triangles.
// gmsh -2 -order 2 plate.geo -o plate.msh
// Physical names become the tags of ds('…') and of [[boundary]] on = "…".
SetFactory("OpenCASCADE");
Rectangle(1) = {0, 0, 0, 2, 1};
Disk(2) = {0.55, 0.45, 0, 0.22};
Disk(3) = {1.4, 0.6, 0, 0.18};
BooleanDifference(4) = { Surface{1}; Delete; }{ Surface{2, 3}; Delete; };

eps = 1e-3;
Physical Curve("inlet") = Curve In BoundingBox{-eps, -eps, -eps, eps, 1 + eps, eps};
Physical Curve("outlet") = Curve In BoundingBox{2 - eps, -eps, -eps, 2 + eps, 1 + eps, eps};
Physical Curve("walls") = {Curve In BoundingBox{-eps, -eps, -eps, 2 + eps, eps, eps},
                           Curve In BoundingBox{-eps, 1 - eps, -eps, 2 + eps, 1 + eps, eps}};
Physical Curve("holes") = Curve In BoundingBox{0.1, 0.1, -eps, 1.9, 0.9, eps};
Physical Surface("plate") = {4};

Mesh.MeshSizeMin = 0.1;
Mesh.MeshSizeMax = 0.12;
Mesh.ElementOrder = 2;
