"""Trial spaces: networks, and how unknowns are made of them so that essential conditions hold.

`activation`, `sweeps`, `network` (parameters → values and derivatives), `enrichment` (extra functions) ; `essential`,
`field` (distances and lifts) → `trial` (unknowns as UFL expressions of one network). `principal` (a form's coefficients at a
corner) → `wedge` (solutions in a sector) → `corners` (those of a domain) → `corner_chart`, `features` (as features). `places`
(where solutions vary on small scales) → `near` (networks that see the distance to these). `elements` (finite elements as a trial
space); `beside` (coarse elements beside a trained network).
"""

from vpinn.trial.activation import ACTIVATIONS, Activation
from vpinn.trial.beside import beside_elements, has_parts, with_fields
from vpinn.trial.charts import BoxChart, Chart, PatchChart, SourceChart
from vpinn.trial.coefficients import coefficients_of
from vpinn.trial.corner_chart import CornerChart, CornerFunction
from vpinn.trial.elements import conditions_alone, elements_trial
from vpinn.trial.enrichment import Enriched, check_enrichment
from vpinn.trial.essential import Factor, on_box
from vpinn.trial.evaluator import Evaluator
from vpinn.trial.features import HIGHEST_ORDER, Features
from vpinn.trial.field import MeshField, harmonic
from vpinn.trial.imposed import Imposed
from vpinn.trial.near import Near
from vpinn.trial.network import Jets, Network, Pullback
from vpinn.trial.scales import Scales
from vpinn.trial.trial import LAYERS, Trial, make_trial

__all__ = [
    "ACTIVATIONS",
    "HIGHEST_ORDER",
    "LAYERS",
    "Activation",
    "BoxChart",
    "Chart",
    "CornerChart",
    "CornerFunction",
    "Enriched",
    "Evaluator",
    "Factor",
    "Features",
    "Imposed",
    "Jets",
    "MeshField",
    "Near",
    "Network",
    "PatchChart",
    "Pullback",
    "Scales",
    "SourceChart",
    "Trial",
    "beside_elements",
    "check_enrichment",
    "coefficients_of",
    "conditions_alone",
    "elements_trial",
    "harmonic",
    "has_parts",
    "make_trial",
    "on_box",
    "with_fields",
]
