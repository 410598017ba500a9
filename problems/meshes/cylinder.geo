// The channel (0, 2.2) x (0, 0.41) of the DFG benchmark with a disk of radius 0.05 at (0.2, 0.2), meshed with curved triangles.
// gmsh -2 -order 2 cylinder.geo -o cylinder.msh
SetFactory("OpenCASCADE");
Rectangle(1) = {0, 0, 0, 2.2, 0.41};
Disk(2) = {0.2, 0.2, 0, 0.05};
BooleanDifference(3) = { Surface{1}; Delete; }{ Surface{2}; Delete; };

eps = 1e-3;
Physical Curve("cylinder") = Curve In BoundingBox{0.1, 0.1, -eps, 0.3, 0.3, eps};
Physical Curve("inflow") = Curve In BoundingBox{-eps, -eps, -eps, eps, 0.41 + eps, eps};
Physical Curve("outflow") = Curve In BoundingBox{2.2 - eps, -eps, -eps, 2.2 + eps, 0.41 + eps, eps};
Physical Curve("walls") = {Curve In BoundingBox{-eps, -eps, -eps, 2.2 + eps, eps, eps},
                           Curve In BoundingBox{-eps, 0.41 - eps, -eps, 2.2 + eps, 0.41 + eps, eps}};
Physical Surface("fluid") = {3};

near() = Curve In BoundingBox{0.1, 0.1, -eps, 0.3, 0.3, eps};
Field[1] = Distance;
Field[1].CurvesList = {near()};
Field[1].Sampling = 100;
Field[2] = Threshold;
Field[2].InField = 1;
Field[2].SizeMin = 0.012;
Field[2].SizeMax = 0.15;
Field[2].DistMin = 0.01;
Field[2].DistMax = 0.5;
Background Field = 2;
Mesh.MeshSizeExtendFromBoundary = 0;
Mesh.ElementOrder = 2;
Mesh.Binary = 1;
