"""Malformed problem files. An error must name the line that ends in ``#!``, or the file if there is no such line."""

from __future__ import annotations

DOMAIN = '[domain]\nshape = "rectangle"\ncells = 2\n'
UNKNOWNS = '[unknowns]\nu = "scalar"\n'
FORM = '[form]\nenergy = "0.5*inner(grad(u), grad(u))*dx - u*dx"\n'
BOUNDARY = '[[boundary]]\non = "all"\nvalue = 0\n'


def problem(domain: str = DOMAIN, unknowns: str = UNKNOWNS, form: str = FORM, boundary: str = BOUNDARY, more: str = "") -> str:
    """Return a problem file with some sections replaced."""
    return f"{domain}{unknowns}{more}{form}{boundary}"


def section(name: str, line: str) -> str:
    return problem(more=f"[{name}]\n{line} #!\n")


def on(lines: str) -> str:
    return problem(boundary=f"[[boundary]]\n{lines}\n")


def domain(lines: str) -> str:
    return problem(domain=f"[domain]\n{lines}\n")


def form(line: str, unknowns: str = UNKNOWNS) -> str:
    return problem(form=f"[form]\n{line} #!\n", unknowns=unknowns)


TWO = '[unknowns]\nu = "scalar"\nw = { shape = "vector", test = "z" }\n'

# text of the file, part of the message
TOML = [
    ("", "missing"),
    ("[domain #!", "not valid TOML"),
    ("a = #!", "not valid TOML"),
    ("title = 'x' 'y' #!", "not valid TOML"),
    ('title = "unfinished #!\n' + problem(), "not valid TOML"),
    (problem() + "[domain] #!\n", "not valid TOML"),
    (problem() + "value = 1 #!\n", "not valid TOML"),
    (problem() + "x = [1, 2 #!\n", "not valid TOML"),
    (problem() + "x = 2020-13-45 #!\n", "not valid TOML"),
    (problem() + "x = " + "9" * 5000 + "\n", "not valid TOML"),
    (problem() + "x = " + "[" * 5000 + "\n", "nested too deeply"),
    (problem() + "a" + ".a" * 5000 + " = 1 #!\n", "dotted parts"),
    (problem() + '"a"' + '."a"' * 2000 + " = 1 #!\n", "dotted parts"),
    (problem() + "[" + "a." * 2000 + "b] #!\n", "dotted parts"),
    (problem() + "x = '" + "a" * 20_000 + "' #!\n", "line of"),
    (problem() + "# " + "x" * 11_000 + "\n" * 250_000, "larger than"),
    (problem() + "x = '''\n", "not valid TOML"),
    ("\x00 #!", "not valid TOML"),
]

SECTIONS = [
    (problem(domain=""), "domain is missing"),
    (problem(unknowns=""), "unknowns is missing"),
    (problem(form=""), "form is missing"),
    (problem(unknowns="[unknowns] #!\n"), "at least 1"),
    (problem(more="[slover] #!\nsteps = 1\n"), "did you mean solver"),
    ("domain = 3 #!\n" + problem(domain=""), "must be a table"),
    ("title = 3 #!\n" + problem(), "must be a string"),
    (section("solver", "stepz = 1"), "did you mean steps"),
    (section("solver", "steps = 0"), "≥ 1, got 0"),
    (section("solver", "steps = 1.5"), "must be an integer"),
    (section("solver", "steps = true"), "must be an integer, got true"),
    (section("solver", 'steps = "many"'), "must be an integer"),
    (section("solver", 'method = "adm"'), "did you mean 'adam'"),
    (section("solver", 'method = "newton"'), "one of 'auto', 'least-squares', 'march', 'elements', 'reduced', 'gauss-newton', "),
    (section("solver", "learning_rate = 0"), "> 0"),
    (section("solver", "learning_rate = inf"), "finite"),
    (section("solver", "learning_rate = nan"), "finite"),
    (section("solver", "tolerance = -1e-3"), "> 0"),
    (section("solver", "seed = -1"), "≥ 0"),
    (section("solver", "seed = 99999999999"), "≤"),
    (section("solver", "clip = 0"), "> 0"),
    (section("solver", 'precision = "float16"'), "float64"),
    (section("solver", 'method = "adam"\nmomentum = 1.0'), "< 1"),
    (problem(more="[solver] #!\nmomentum = 0.5\n"), "belongs to method"),
    (problem(more="[solver] #!\ndecay = 0.5\n"), "needs schedule"),
    (problem(more="[solver] #!\nsteps = 10\nwarmup = 10\n"), "less than steps"),
    (section("network", "layers = []"), "at least 1"),
    (section("network", "layers = 30"), "must be a list"),
    (section("network", "layers = [30, 0]"), "≥ 1, got 0"),
    (section("network", "layers = [2000]"), "≤ 1024"),
    (section("network", 'activation = "relu"'), "'tanh'"),
    (section("quadrature", "degree = 31"), "≤ 30"),
    (section("quadrature", 'rule = "gaus"'), "did you mean 'gauss'"),
    (section("quadrature", "points = 100"), "is for a hypercube"),
    (problem(more='[quadrature]\nrule = "monte-carlo"\npoints = 100 #!\n'), "give degree (Gauss rules) or refine"),
    (problem(more='[quadrature] #!\nrule = "gauss"\npoints = 10\n'), "takes degree"),
    (problem(more='[quadrature] #!\nrule = "sobol"\ndegree = 10\n'), "takes points"),
    (section("batch", 'size = "ful"'), "an integer or 'full'"),
    (section("batch", "size = 0"), "≥ 1"),
    (section("batch", 'growth = "norm"'), "did you mean 'norm-test'"),
    (problem(more='[batch] #!\ngrowth = "geometric"\n'), "are for mini-batches"),
    (problem(more="[batch] #!\nfinish = 0.2\n"), "are for mini-batches"),
    (section("batch", "finish = 1.0"), "< 1"),
    (problem(more="[batch] #!\nsize = 9\nthreshold = 0.5\n"), 'threshold belongs to growth "norm-test"'),
    (problem(more="[batch] #!\nsize = 9\nlargest = 20\n"), "choose a growth"),
    (problem(more='[batch] #!\nsize = 9\nlargest = 8\ngrowth = "geometric"\n'), "largest must be size or more"),
    (problem(more='[solver]\nscaling = "linear"\n'), "scaling follows a batch that changes"),
    (section("solver", 'clip = "much"'), "'auto'"),
    (section("solver", "warmup = -1"), "≥ 0"),
    (section("batch", 'sampler = "random"'), "'stratified'"),
    (problem(more='[batch] #!\nsampler = "uniform"\nallocation = "neyman"\n'), 'allocation belongs to sampler "stratified"'),
    (problem(more='[batch] #!\nsampler = "sobol"\nreplacement = false\n'), 'replacement belongs to sampler "uniform"'),
    (problem(more='[batch] #!\nstrata = "tags"\nstrata_count = 3\n'), "strata_count belongs to"),
    (section("batch", "strata_count = 0"), "≥ 1"),
    (section("output", 'formats = ["vtk"]'), "did you mean 'vtu'"),
    (section("output", "refine = 9"), "≤ 4"),
    (section("output", 'directory = "/etc"'), "outside the working directory"),
    (section("output", 'directory = "../../../../../../up"'), "outside the working directory"),
    (problem(more="[solver]\nmethod = 'lbfgs'\n[test_space] #!\ndegree = 2\n"), "belongs to a weak form"),
    (section("test_space", 'kind = "bubble"'), "did you mean 'bubbles'"),
    (section("constants", 'a = "1"'), "must be a number"),
    (section("constants", 'a = "1,5"'), "decimals have a point, as in 1.5"),
    (section("constants", "a = [true]"), "must be a number"),
    (section("constants", "pi = 3"), "fixed meaning"),
    (problem(unknowns="[constants]\nu = 3\n[unknowns]\nu = 'scalar' #!\n"), "defined twice"),
    (section("constants", '"a b" = 3'), "cannot be a name"),
    (section("constants", "lambda = 3"), "cannot be a name"),
    (section("constants", "x = 3"), "fixed meaning"),
    (problem(unknowns='[unknowns]\nu = "skalar" #!\n'), "did you mean 'scalar'"),
    (problem(unknowns="[unknowns]\nu = 0 #!\n"), "≥ 1"),
    (problem(unknowns='[unknowns]\nu = { shape = "scalar", tests = "v" } #!\n'), "did you mean test"),
    (problem(unknowns='[unknowns]\nu = { test = "u" } #!\n'), "defined twice"),
    (problem(unknowns='[unknowns]\ngrad = "scalar" #!\n'), "fixed meaning"),
    (section("reference", 'exact = { w = "x" }'), "not an unknown"),
    (section("reference", 'exact = { u = "[x, y]" }'), "is a scalar, got a vector"),
    (section("reference", 'exact = { u = "u" }'), "cannot depend on the unknown"),
    (section("reference", 'exact = { u = "n[0]" }'), "normal"),
    (section("reference", 'file = "missing.csv"'), "no such file"),
    (section("reference", 'file = "../secret.csv"'), "outside the problem file's folder"),
    (section("reference", 'file = "/etc/passwd"'), "outside the problem file's folder"),
    (section("reference", 'file = "."'), "not a regular file"),
    (section("reference", "fem = { degree = 0 }"), "≥ 1"),
    (section("reference", "fem = { refine = 1.5 }"), "integer"),
    (section("reference", "fem = { degre = 2 }"), "did you mean degree"),
    (section("network", 'enrich = ["u"]'), "an enrich function cannot depend on the unknown u"),
    (section("network", 'enrich = ["grad(x)"]'), "an enrich function is a scalar, got"),
    (section("network", 'enrich = ["h*x"]'), "cannot contain the cell size h"),
    (section("network", 'enrich = ["n[0]"]'), "cannot contain the normal n"),
    (section("network", 'enrich = "x"'), "enrich"),
]

UNAVAILABLE = [
    (domain('shape = "rectangle"\ntime_cells = 4 #!'), "not available in this version"),
    (section("network", 'normalisation = "batch"'), "would bias the gradient; leave it out"),
    (problem(more="[parameters]\nmu = [1, 0] #!\n"), "a range ends above its start"),
    (problem(more="[infer] #!\nD = { initial = 1.0 }\n"), "no measurements determine D"),
    (problem(more='[[data]] #!\nfile = "a.csv"\n'), "[[data]] needs [infer]"),
    (problem(more="[[data]] #!\nnoise = 1.0\n"), "give exactly one of file"),
    (problem(more="[infer]\nD = { initial = 1.0, lower = 2.0 } #!\n"), "initial lies between lower and upper"),
    (problem(more='[quadrature] #!\nrule = "stochastic-gauss"\ndegree = 3\n'), "neither degree nor points"),
    (section("quadrature", "refine = 21"), "≤ 20"),
    (problem(more="[solver] #!\npopulation = 10\n"), 'belongs to method "evolution"'),
    (problem(more='[solver] #!\nmethod = "evolution"\nlearning_rate = 0.1\n'), "takes no learning_rate"),
]

DOMAINS = [
    (problem(domain="[domain] #!\n"), "exactly one of mesh and shape"),
    (problem(domain='[domain] #!\nmesh = "a.msh"\nshape = "disk"\n'), "exactly one of mesh and shape"),
    (problem(domain='[domain] #!\nmesh = "a.msh"\ncells = 3\n'), "belongs to a shape"),
    (domain('shape = "rectangel" #!'), "did you mean 'rectangle'"),
    (problem(domain='[domain] #!\nmesh = "missing.msh"\n'), "no such file"),
    (problem(domain='[domain] #!\nmesh = "../plate.msh"\n'), "outside the problem file's folder"),
    (problem(domain='[domain] #!\nmesh = "/dev/zero"\n'), "outside the problem file's folder"),
    (problem(domain='[domain] #!\nmesh = "a\\u0000b"\n'), ""),
    (problem(domain='[domain] #!\nshape = "disk"\nlower = [0, 0]\n'), "lower"),
    (problem(domain='[domain] #!\nshape = "rectangle"\nlower = [0]\n'), "lower"),
    (problem(domain='[domain] #!\nshape = "rectangle"\nlower = [1, 1]\n'), "lower"),
    (problem(domain='[domain] #!\nshape = "rectangle"\ncells = [9999999, 9999999]\n'), "cells"),
    (problem(domain='[domain] #!\nshape = "rectangle"\ncell = "tetrahedron"\n'), "triangle"),
    (problem(domain='[domain] #!\nshape = "hypercube"\n'), "dimension"),
    (domain('shape = "disk"\nradius = -1 #!'), "> 0"),
    (domain('shape = "rectangle"\ncells = 0 #!'), "≥ 1"),
    (
        problem(domain='[domain]\nshape = "hypercube"\nlower = [0, 0, 0, 0]\n', form='[form]\nweak = "u*v*dx" #!\n'),
        "needs a mesh",
    ),
    (
        problem(domain='[domain]\nshape = "hypercube"\nlower = [0, 0]\n[quadrature]\ndegree = 3 #!\n'),
        "Gauss rules need a mesh",
    ),
]

CONDITIONS = [
    (problem(boundary="[[boundary]] #!\nvalue = 0\n"), "on is missing"),
    (problem(boundary='[[boundary]] #!\non = "all"\n'), "exactly one of value, residual and tie"),
    (problem(boundary='[boundary] #!\non = "all"\n'), "must be a list"),
    (on('on = "lef" #!\nvalue = 0'), "did you mean left"),
    (on('on = ["left", "nowhere"] #!\nvalue = 0'), "nowhere"),
    (problem(boundary="[[boundary]] #!\non = []\nvalue = 0\n"), "at least one tag"),
    (on('on = "all"\nunknown = "q" #!\nvalue = 0'), "not an unknown"),
    (on('on = "all"\ncomponent = 0 #!\nvalue = 0'), "leave component out"),
    (on('on = "all"\ncomponent = -1 #!\nvalue = 0'), "≥ 0"),
    (on('on = "all"\nvalue = "u" #!'), "cannot depend on the unknown"),
    (on('on = "all"\nvalue = "v" #!'), "test function"),
    (on('on = "all"\nvalue = "[x, y]" #!'), "u is a scalar"),
    (on('on = "all"\nvalue = ["x", "y"] #!'), "u is a scalar"),
    (on('on = "all"\nvalue = [] #!'), "at least one entry"),
    (on('on = "all"\nvalue = "x*dx" #!'), "no place"),
    (on('on = "all"\nvalue = "1 +" #!'), "not an expression"),
    (on('on = "all"\nvalue = 0\nimpose = "strong" #!'), "'penalty'"),
    (on('on = "all"\nvalue = 0\nweight = -1 #!'), "> 0"),
    (problem(boundary='[[boundary]] #!\non = "all"\nvalue = 0\nimpose = "exact"\nweight = 1\n'), "no weight"),
    (on('on = "left"\nvalue = 0\n[[boundary]]\non = "left" #!\nvalue = 1'), "already has a value on left"),
    (on('on = "all"\nvalue = 0\n[[boundary]]\non = "left" #!\nvalue = 1'), "already has a value"),
    (on('on = "all"\nresidual = "u" #!'), "needs a strong form"),
    (
        problem(
            unknowns=TWO, form='[form]\nweak = "u*v*dx + inner(w, z)*dx"\n', boundary='[[boundary]] #!\non = "all"\nvalue = 0\n'
        ),
        "say which of u, w",
    ),
    (
        problem(
            unknowns=TWO,
            form='[form]\nweak = "u*v*dx + inner(w, z)*dx"\n',
            boundary='[[boundary]]\non = "all"\nunknown = "w"\ncomponent = 2 #!\nvalue = 0\n',
        ),
        "components 0 to 1",
    ),
    (
        problem(
            form='[form]\nstrong = "-div(grad(u))"\n', boundary='[[boundary]]\non = "all"\nvalue = 0\nimpose = "nitsche" #!\n'
        ),
        "Nitsche",
    ),
]

FORMS = [
    (problem(form="[form] #!\n"), "exactly one of energy, weak and strong"),
    (problem(form='[form] #!\nenergy = "u*dx"\nweak = "u*v*dx"\n'), "got energy and weak"),
    (form('energi = "u*dx"'), "did you mean energy"),
    (form('energy = ""'), "not empty"),
    (form("energy = 3"), "must be a string"),
    (form('energy = "u"'), "multiply each term by dx or ds"),
    (form('energy = "u*dx + u"'), "another is not"),
    (form('energy = "u*v*dx"'), "no test functions"),
    (form('energy = "x*dx"'), "does not contain the unknown u"),
    (form('energy = "0*u*dx"'), "every integral of the form is zero"),
    (form('energy = "inner(grad(sign(x)), grad(u))*dx"'), "every term with the unknown u is zero"),
    (form('weak = "inner(grad(conditional(lt(u, 1), 1, 0)), grad(v))*dx"'), "every term with the unknown u is zero"),
    (form('energy = "grad(u)*dx"'), "an integrand is a scalar"),
    (form('energy = "u*n[0]*dx"'), "the normal n"),
    (form("energy = \"u*ds('lef')\""), "did you mean left"),
    (form("energy = \"u*dx('steel')\""), "no group of cells"),
    (form('energy = "u*dS"'), "between two groups of cells"),
    (form('weak = "u*dx"'), "does not contain the test function v"),
    (form('weak = "u*v*dx - dx"'), "measure needs an integrand"),
    (form('weak = "u*v*dx + u*dx"'), "linear in the test functions"),
    (form('weak = "u*v*v*dx"'), "linear in the test functions"),
    (form('weak = "u*sin(v)*dx"'), "linear in the test functions"),
    (form('weak = "u*(v + 1)*dx"'), "linear in the test functions"),
    (form('weak = "u*abs(v)*dx"'), "linear in the test functions"),
    (form('weak = "conditional(v > 0, u, 0)*v*dx"'), "linear in the test functions"),
    (form('weak = "u*v*dx"', TWO), "does not contain the test function z of w"),
    (form('weak = "u*v*z[0]*w[0]*dx + z[1]*dx"', TWO), "linear in the test functions"),
    (problem(form="[form] #!\nstrong = []\n"), "at least one equation"),
    (form('strong = "u*dx"'), "no place"),
    (form('strong = "u*v"'), "no test functions"),
    (form('strong = "u*n[0]"'), "the normal n"),
    (form('strong = "x"'), "does not contain the unknown u"),
    (form('strong = ["u + w[0]"]', TWO), "1 scalar equation for 3"),
    (problem(form='[form]\nstrong = [\n  "-div(grad(u))",\n  "kapa*u", #!\n]\n'), "unknown name 'kapa'"),
]

EXPRESSIONS = [
    (section("expressions", f"f = {text}"), part)
    for text, part in [
        ("'kapa'", "unknown name 'kapa'"),
        ("'grd(u)'", "did you mean grad"),
        ("''", "not empty"),
        ("'  '", "empty"),
        ("'# nothing'", "empty"),
        ("'1 +'", "not an expression"),
        ("'(1'", "not an expression"),
        ("'1)'", "closing bracket"),
        ("'1)+(2'", "closing bracket"),
        ("'[1, 2'", "not an expression"),
        ("'x, y'", "write a vector as [a, b]"),
        ("'x < 1'", "inside conditional"),
        ("'conditional(x, 1, 2)'", "expected a condition"),
        ("'conditional(x < 1, 1)'", "conditional(condition, a, b)"),
        ("'u.dx(0)'", "attributes"),
        ("'9**9**8'", "finite"),
        ("'1e999'", "finite"),
        ("'1/0'", "division by zero"),
        ("'x/0'", "division by zero"),
        ("'sqrt(-1)'", "real number"),
        ("'(-8)**(1/3)'", "real number"),
        ("'ln(0)'", "math domain error"),
        ("'1j'", "numbers are real"),
        ("'True'", "numbers are real"),
        ("'\"text\"'", "only a tag"),
        ("'x[2]'", "no such component"),
        ("'x[-1]'", "whole number from 0"),
        ("'x[0.5]'", "whole number from 0"),
        ("'u[0]'", "no such component"),
        ("'u + grad(u)'", "cannot add a scalar and a vector of length 2"),
        ("'grad(u)*grad(u)'", "use inner, dot or outer"),
        ("'inner(u, grad(u))'", "one shape"),
        ("'div(u)'", "div needs"),
        ("'cross(grad(u), grad(u))'", "length 3"),
        ("'tr(grad(u))'", "square matrix"),
        ("'sin(grad(u))'", "takes a scalar"),
        ("'sin(x, y)'", "takes 1 argument, got 2"),
        ("'t'", "needs time = [start, end]"),
        ("'z'", "no coordinate z"),
        ("'dt(u)'", "needs time = [start, end]"),
        ("'jump(u)'", "over dS"),
        ("'lambda: 1'", "not part of the expression language"),
        ("'__import__(\"os\")'", "unknown function"),
        ("'grad'", "is a function"),
        ("'u(x)'", "is a name, not a function"),
        ("'dx'", "no place"),
        ("'dot(x, x)'", "first coordinate"),
        (f"'{'-' * 3000}1'", "nested too deeply"),
        (f"'{'sin(' * 120}x{')' * 120}'", "nested"),
        (f"'{'x*' * 3000}x'", ""),
        (f"'{'9' * 5000}'", "not an expression"),
        (f"'{'x' * 10_001}'", "10000"),
        ("'g'", "unknown name 'g'"),
        ("[1]", "must be a number or a string"),
    ]
]

MALFORMED = TOML + SECTIONS + UNAVAILABLE + DOMAINS + CONDITIONS + FORMS + EXPRESSIONS
