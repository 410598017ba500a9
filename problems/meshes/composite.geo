// The square (-1, 1)² with a round inclusion of radius 0.5: two materials, whose names become the groups of dx('…').
// gmsh -2 -order 2 composite.geo -o composite.msh
SetFactory("OpenCASCADE");
Rectangle(1) = {-1, -1, 0, 2, 2};
Disk(2) = {0, 0, 0, 0.5};
BooleanFragments{ Surface{1}; Delete; }{ Surface{2}; Delete; }

eps = 1e-3;
Physical Surface("inclusion") = {2};
Physical Surface("matrix") = {3};
Physical Curve("sides") = {Curve In BoundingBox{-1 - eps, -1 - eps, -eps, -1 + eps, 1 + eps, eps},
                           Curve In BoundingBox{1 - eps, -1 - eps, -eps, 1 + eps, 1 + eps, eps},
                           Curve In BoundingBox{-1 - eps, -1 - eps, -eps, 1 + eps, -1 + eps, eps},
                           Curve In BoundingBox{-1 - eps, 1 - eps, -eps, 1 + eps, 1 + eps, eps}};

Mesh.MeshSizeMin = 0.15;
Mesh.MeshSizeMax = 0.15;
Mesh.ElementOrder = 2;
