# Time, memory and GPUs that jobs request from a cluster. Local runs ignore time and memory.

from langarith.planning import costs

# A profile's settings for `sweep` apply to every sweep_{method}, for all methods of a study.
share_profile_settings("sweep", [sweep_rule(*kind) for kind in SWEEPS])

NEEDS = costs.Needs(STUDY)
CHECKPOINT_MINUTES = 10  # a profile may set another: set-resources


def request(need):
    """Time and memory of a job by its :class:`costs.Need`, more on each attempt."""
    return {
        "runtime": lambda wildcards, attempt: need(wildcards).minutes(attempt),
        "mem_mb": lambda wildcards, attempt: need(wildcards).memory(attempt),
        # for the record of the job
        "attempt": lambda wildcards, attempt: attempt,
    }


def member(need):
    """The request of a group's member; members run one after another (profiles/slurm)."""
    return request(need) | {"turn": 1}


def gpu_training(need):
    """Resources of a training.

    The checkpoint interval is a resource, not a parameter: it does not affect results, so a new
    interval must not repeat the training.
    """
    return request(need) | {"gpu": 1, "checkpoint_minutes": CHECKPOINT_MINUTES}


def gpu_scoring():
    """Resources for scoring a ready-made task adapter: those of one point of a sweep."""
    return request(lambda wildcards: NEEDS.scoring(wildcards.model, wildcards.task)) | {"gpu": 1}


def gpu_masked_lm():
    """Resources of the masked-LM losses of one sweep's merges."""
    need = lambda wildcards: NEEDS.masked_lm(
        wildcards.model, wildcards.target, wildcards.method, wildcards.operands.count("+") + 1
    )
    return member(need) | {"gpu": 1}


def gpu_fisher():
    """Resources of the Fisher information of one language adapter."""
    need = lambda wildcards: NEEDS.fisher(wildcards.model, wildcards.language)
    return member(need) | {"gpu": 1}


def gpu_sweep(method, operands):
    """Resources of one sweep of a method."""
    need = lambda wildcards: NEEDS.sweep(wildcards.model, wildcards.task, method, operands)
    return member(need) | {"gpu": 1}
