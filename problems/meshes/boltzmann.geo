// The square (-1, 1)² without four disks of different sizes, meshed with curved (second-order) triangles.
// gmsh -2 -order 2 boltzmann.geo -o boltzmann.msh
SetFactory("OpenCASCADE");
Rectangle(1) = {-1, -1, 0, 2, 2};
Disk(2) = {0.5, 0.5, 0, 0.2};
Disk(3) = {0.4, -0.4, 0, 0.4};
Disk(4) = {-0.2, -0.7, 0, 0.1};
Disk(5) = {-0.6, 0.5, 0, 0.3};
BooleanDifference(6) = { Surface{1}; Delete; }{ Surface{2, 3, 4, 5}; Delete; };

eps = 1e-3;
Physical Curve("circles") = Curve In BoundingBox{-0.95, -0.95, -eps, 0.95, 0.95, eps};
Physical Curve("square") = {Curve In BoundingBox{-1 - eps, -1 - eps, -eps, -1 + eps, 1 + eps, eps},
                            Curve In BoundingBox{1 - eps, -1 - eps, -eps, 1 + eps, 1 + eps, eps},
                            Curve In BoundingBox{-1 - eps, -1 - eps, -eps, 1 + eps, -1 + eps, eps},
                            Curve In BoundingBox{-1 - eps, 1 - eps, -eps, 1 + eps, 1 + eps, eps}};
Physical Surface("plate") = {6};

Mesh.MeshSizeMax = 0.2;
Mesh.MeshSizeFromCurvature = 32;
Mesh.ElementOrder = 2;
Mesh.Binary = 1;
