"""Texts that try to reach Python, and texts that try to exhaust it."""

from __future__ import annotations

CALLS = [
    "eval('1')", "exec('1')", "compile('1', '', 'eval')", "open('/etc/passwd')", "open('/tmp/vpinn_attack', 'w')", "input()",
    "print(1)", "exit()", "quit()", "breakpoint()", "help()", "globals()", "locals()", "vars()", "dir()", "id(x)", "type(x)",
    "getattr(x, 'y')", "setattr(x, 'y', 1)", "delattr(x, 'y')", "hasattr(x, 'y')", "object()", "super()", "memoryview(b'')",
    "bytearray(9)", "range(9**9)", "list(x)", "dict()", "set()", "tuple(x)", "map(sin, x)", "filter(sin, x)", "sum([x])",
    "max(x)", "sorted(x)", "iter(x)", "next(x)", "hash(x)", "repr(x)", "str(x)", "int('1')", "float('nan')", "complex(1, 2)",
    "bytes(9)", "chr(65)", "ord('a')", "isinstance(x, y)", "__import__('os')", "__import__('os').system('true')",
    "__build_class__(1, 2)", "classmethod(x)", "property(x)", "callable(x)", "import_module('os')", "system('true')",
    "Popen('true')", "loads('x')", "as_ufl(1)", "Coefficient(x)", "Measure('dx')", "derivative(u, v)",
]  # fmt: skip

NODES = [
    "import os", "x = 1", "del x", "x; y", "(x := 1)", "lambda: x", "(lambda f: f(f))(lambda f: f(f))", "[i for i in x]",
    "{i for i in x}", "{i: i for i in x}", "(i for i in x)", "{'a': 1}", "{1, 2}", "{**x}", "[*x]", "sin(*x)", "sin(**x)",
    "sin(x=1)", "f'{x}'", "f'{open(1)}'", "b'x'", "'x'", "'''x'''", "x if y else 1", "x is y", "x in y", "x[1:2]", "x[:]",
    "x[::-1]", "x[...]", "x[x]", "x['a']", "x[0](1)", "yield x", "await x", "x.real", "x.__class__",
    "().__class__.__bases__[0].__subclasses__()", "x.__init__.__globals__['os']", "u.dx(0)", "u.ufl_domain()",
    "sin.__globals__", "grad.__code__", "dx.metadata()", "'{0.__class__}'.format(x)", "'%s' % x", "~x", "x @ y", "x // y",
    "x % y", "x << 9999999", "x >> 1", "x | y", "x & y", "x ^ y", "not x", "x and y", "None", "True", "Ellipsis", "...",
    "NotImplemented", "__name__", "__builtins__", "__file__", "__loader__", "_", "__", "1j", "0x", "1_", "1e", "1..", "x!",
    "x?", "$x", "`x`", "x\\", "\\", "# x", "'", '"', "'''", "\x00", "x\x00y", "\x1b]0;t\x07", "\u202ex", "\ud800", "dx(os)",
    "ds(1)", "dx({'quadrature_degree': 99})", "ds('left', metadata=1)", "dx('..')", "ds('../../etc')", "dS('left')",
    "match x: 1", "async x", "global x", "assert x", "raise x", "x:int",
]  # fmt: skip

FLOODS = [
    "9**9**9", "9**9**9**9**9", "2**(2**(2**(2**(2**2))))", "9" * 9000, "9" * 4000 + "**" + "9" * 4000, "1e308*1e308",
    "1e999", "-1e999", "10.0**400", "(1e200)**2", "exp(exp(exp(9)))", "cosh(1e9)", "(-1)**0.5", "sqrt(-1)", "ln(0)", "ln(-1)",
    "0**-1", "0/0", "1/(1-1)", "x/(1-1)", "asin(2)", "tan(1e400)", "(" * 4000 + ")" * 4000, "[" * 4000,
    "(" * 99 + "x" + ")" * 99, "[" * 90 + "1" + "]" * 90, "-" * 9000 + "x", "not " * 2000 + "x", "~" * 5000 + "x",
    "x" + "[0]" * 3000, "x" + ".a" * 4000, "x" + "(1)" * 3000, "x" + "*x" * 4000, "x" + "**x" * 3000, "x" + "+x" * 4000,
    "x" + "<x" * 4000, "x if x else " * 800 + "x", "lambda: " * 1200 + "x", "sin(" * 99 + "u" + ")" * 99,
    "grad(" * 90 + "u" + ")" * 90, "outer(w, " * 60 + "w" + ")" * 60, "div(" * 50 + "u" + ")" * 50,
    "sign(" * 60 + "x" + ")" * 60, "inv(" * 60 + "grad(w)" + ")" * 60, "det(" * 60 + "grad(w)" + ")" * 60,
    "conditional(x<1, " * 60 + "x" + ", y)" * 60, "[" + "x," * 4000 + "x]", "[" + "[x]," * 2000 + "[x]]",
    "Identity(999999999)", "Identity(0)", "Identity(100)", "diag(diag(w))", "Dx(u" + ", 0" * 2000 + ")",
    "x[999999999999999999999]", "x[" + "0," * 3000 + "0]", "ds(" + "'left'," * 1000 + "'left')*u", "u*dx" + " + u*dx" * 1200,
    "(" + "u*dx + " * 1000 + "u*dx)*2", "'" * 9999, "\n" * 9999, "x\n+" * 3000 + "x", "\t" * 5000 + "x", "é" * 5000,
]  # fmt: skip

DISGUISED = [
    "ｅｖａｌ('1')", "𝐞𝐱𝐞𝐜('1')", "__ｉｍｐｏｒｔ__('os')", "ｏｐｅｎ('/etc/passwd')", "x.__ｃｌａｓｓ__",
    "g\u0435tattr(x, 'y')", "\u00aax", "ºx",
    "eval\u200b('1')", "eval\t('1')", "(eval)('1')", "[eval][0]('1')", "(x, eval)[1]('1')", "eval.__call__('1')", "eval ('1')",
    "sin.__self__", "sin.__class__.__base__", "sin.__module__", "u.__reduce__()",
    "u.__reduce_ex__(2)", "u.__getattribute__('x')",
    "u.__dict__", "u.__init_subclass__()", "u._ufl_function_space", "u.ufl_operands[0]", "u.ufl_shape", "dx.subdomain_data()",
    "dx.__rmul__(u)", "ds.reconstruct()", "x.__mul__(y)", "(1).__class__", "1 .real",
    "1..__class__", "0.5.hex()", "'a'.join(x)",
    "''.__class__.__mro__[1].__subclasses__()", "[].__class__", "{}.__class__", "(x for x in ().__class__.__bases__)",
    "[c for c in ().__class__.__base__.__subclasses__()]", "(lambda: 0).__globals__", "(lambda: 0).__code__.co_consts",
    "(y := eval)('1')", "x if eval('1') else y", "sin(eval)", "grad(open)", "inner(exec, exec)", "conditional(open, x, y)",
    "as_vector([open, exec])", "as_vector(*[x, y])", "Dx(u, open)", "u[open]", "dx(open)",
    "ds(eval('1'))", "ds('left' + 'right')",
    "ds('left' * 9**9)", "ds(f'{x}')", "ds(b'left')", "ds(['left'])", "ds(('left',))", "ds('left')('right')", "dx()()()",
    "u*dx(domain=x)", "u*dx(subdomain_data=open)", "u*dx(degree=10**9)", "u*dx(scheme='x')", "x,", "x, y = 1, 2", "*x, y",
    "print", "exit", "__debug__", "__spec__", "__doc__", "__annotations__", "__dict__", "self", "cls", "os", "sys", "ufl", "np",
    "torch", "vpinn", "builtins", "type", "object", "lambda", "import", "global x; x",
    "nonlocal x", "x\n  y", "x\\\ny", "if x: y",
    "while x: y", "for x in y: x", "def f(): x", "class A: x", "with x: y", "try: x", "return x",
    "break", "pass", "@x", "x -> y",
]  # fmt: skip
"""Names in other letters, ways around the names of functions, and statements."""

ATTACKS = CALLS + NODES + FLOODS + DISGUISED
