"""Learning from members of a family what makes further members fast to solve: initial weights, and features.

1. `members`: all members in one trial space, so that weights mean the same for all of them.
2. `learn`: the outer loop. Each step moves the common weights by `vpinn.optimization.meta`, and the hidden layers of features.
3. `reused`: the bias of a batch that inner steps and outer gradient share, predicted and measured.

How further members are then solved, and what that is worth, is told by `vpinn.solving.learning`.
"""

from vpinn.learning.learn import FEATURES, Learning
from vpinn.learning.members import FamilyMember, Members, begun, last_layer_solved
from vpinn.learning.reused import reused_batch

__all__ = ["FEATURES", "FamilyMember", "Learning", "Members", "begun", "last_layer_solved", "reused_batch"]
