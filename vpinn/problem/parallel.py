"""The [parallel] section of a problem file: how several workers exchange gradients."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vpinn.problem.section import Positive, Section


class Parallel(Section):
    """How workers exchange gradients, with --workers or under torchrun; without effect on one worker."""

    compress: Literal["none", "half", "low-rank", "sparse", "rounded"] = Field(
        "none",
        description="What the gradients of first-order steps are sent as; what is left out of one message is added to the next.",
    )
    keep: Annotated[Positive, Field(le=1)] = Field(
        0.1, description="Share of the entries of a gradient that sparse sends, drawn anew in every step (> 0, ≤ 1)."
    )
    backend: Literal["gloo", "nccl", "mpi"] | None = Field(
        None, description="Backend of torch.distributed; default gloo between processors, nccl between GPUs of CUDA."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "keep" in self.model_fields_set and self.compress != "sparse":
            raise ValueError('keep is the share of entries that compress = "sparse" sends; leave it out')
        return self
