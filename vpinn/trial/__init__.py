"""Trial spaces: networks, and unknowns built from them so that essential boundary conditions hold exactly.

In goes a `Problem`; out comes a `Trial` (`make_trial`): a network with P parameters θ, and every unknown as a UFL expression of
the network's outputs, u = lift + distance × network where values are imposed exactly.

1. Networks: `activation`, `layout` (where parameters stand in memory), `sweeps` (first and second derivatives), `nested`
   (derivatives of any order), `jacobian` (with respect to the parameters), `graph` → `network` (parameters → values,
   derivatives and their pullback). `evaluator` evaluates expressions of the unknowns at points, `slopes` differentiates them.
2. Boundary values: `essential` (distances and lifts on boxes, disks, polygons), `field` (the same on any mesh, by finite
   elements), `imposed` (which way a condition was imposed).
3. `trial`: unknowns, network and conditions together. Start reading there. `scales` are the units of a trained trial space.
4. Random features: `features`, with coordinates from `charts` and functions with poles or windows; `enrichment` adds functions
   given by the user, `coefficients` reports their coefficients.
5. Singular functions at corners: `principal` (the form's coefficients at a corner) → `wedge` (solutions in a sector) →
   `corners` (corners of a domain) → `corner_chart` (as features).
6. Small features of the domain: `places` (holes, gaps, inclusions) → `near` (networks that see the distance to them).
7. Finite elements: `elements` (as a trial space), `beside` (coarse elements added to a network).
"""

from vpinn.trial.activation import ACTIVATIONS, Activation
from vpinn.trial.beside import beside_elements, has_parts, with_fields
from vpinn.trial.charts import PatchChart
from vpinn.trial.coefficients import coefficients_of
from vpinn.trial.corner_chart import CornerChart, CornerFunction
from vpinn.trial.elements import conditions_alone, elements_trial
from vpinn.trial.enrichment import Enriched, check_enrichment
from vpinn.trial.essential import on_box
from vpinn.trial.evaluator import Evaluator
from vpinn.trial.features import HIGHEST_ORDER, Features
from vpinn.trial.few_coordinates import FewCoordinates
from vpinn.trial.few_trial import few_trial, restored, stored
from vpinn.trial.field import Across, MeshField, harmonic
from vpinn.trial.imposed import Imposed
from vpinn.trial.near import Near
from vpinn.trial.network import Derivative, Jets, Network, Pullback
from vpinn.trial.scales import Scales
from vpinn.trial.slopes import residual_slopes
from vpinn.trial.trial import LAYERS, Trial, make_trial

__all__ = [
    "ACTIVATIONS",
    "HIGHEST_ORDER",
    "LAYERS",
    "Across",
    "Activation",
    "CornerChart",
    "CornerFunction",
    "Derivative",
    "Enriched",
    "Evaluator",
    "Features",
    "FewCoordinates",
    "Imposed",
    "Jets",
    "MeshField",
    "Near",
    "Network",
    "PatchChart",
    "Pullback",
    "Scales",
    "Trial",
    "beside_elements",
    "check_enrichment",
    "coefficients_of",
    "conditions_alone",
    "elements_trial",
    "few_trial",
    "harmonic",
    "has_parts",
    "make_trial",
    "on_box",
    "residual_slopes",
    "restored",
    "stored",
    "with_fields",
]
