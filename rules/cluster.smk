# What jobs ask of a cluster, and what its user is told. Alone, or with --cores, jobs take what is there.

import logging
import time

from langarith.cluster import costs, slurm

NEEDS = costs.Needs(STUDY)
CHECKPOINT_MINUTES = 10  # a profile may set another: set-resources


def request(need):
    """Time and memory of a job by what it needs, more on each attempt."""
    return {
        "runtime": lambda wildcards, attempt: need(wildcards).minutes(attempt),
        "mem_mb": lambda wildcards, attempt: need(wildcards).memory(attempt),
    }


def member(need):
    """The same for a job that belongs to a group, whose members take turns (profiles/slurm)."""
    return request(need) | {"turn": 1}


def gpu_training(need):
    """What a training asks for. How often it saves is no parameter: it decides no number."""
    return request(need) | {
        "gpu": 1,
        "attempt": attempt,
        "checkpoint_minutes": CHECKPOINT_MINUTES,
    }


def gpu_sweep(method, operands):
    """What one sweep of a method asks for."""
    need = lambda wildcards: NEEDS.sweep(wildcards.model, wildcards.task, method, operands)
    return member(need) | {
        "gpu": 1,
        "attempt": attempt,
    }


class LastLines(logging.Handler):
    """Shows the end of a failed job's logs, where Snakemake would show all of every log."""

    def emit(self, record):
        event = getattr(record, "event", None)
        if event is None or getattr(record, "indent", False):
            return  # members of a group are told of once, with the group
        if event.value == "job_error":
            own = [log for log in record.log if log.startswith(LOGS)]
            self.show(own, [log for log in record.log if log not in own], record.aux)
        elif event.value == "group_error":
            # a member that succeeded has its record, the last of its outputs
            failed = [j for j in record.job_error_info if not os.path.exists(j["output"][-1])]
            self.show([log for j in failed for log in j["log"]], record.aux_logs, vars(record))

    def show(self, logs, of_slurm, told):
        job = told.get("external_jobid")
        found = {log: slurm.last_lines(log, job=job) for log in logs}
        found |= {log: slurm.last_words(log) for log in of_slurm}
        if not any(found.values()):  # it ended before its script began
            found = {log: slurm.last_lines(log) for log in of_slurm}
        for log, lines in found.items():
            if lines:
                print(f"Last lines of {log}:", *lines, sep="\n    ", file=sys.stderr)


def slurm_executor():
    """The executor that submits to SLURM; None where another one runs the jobs."""
    executor = getattr(workflow.scheduler, "_executor", None)
    return executor if hasattr(executor, "slurm_logdir") else None


def cap_pause(executor, longest):
    """The plugin's pause grows to three minutes; see slurm.pauses for why it must not."""

    def wait(self):
        return min(vars(self).get("next_seconds_between_status_checks", longest), longest)

    def lengthen(self, seconds):
        vars(self)["next_seconds_between_status_checks"] = seconds

    type(executor).next_seconds_between_status_checks = property(wait, lengthen)


STARTED = time.time()

if workflow.exec_mode.name == "DEFAULT":
    from snakemake.logging import logger

    logger.addHandler(LastLines())
elif "SLURM_JOB_ID" in os.environ:
    slurm.pass_signals_on()
    if OWNS_WARM_PROCESS and any(word.startswith("sweep_") for word in sys.argv):
        # for all members: started in a member's step, it would end with that step
        warm.launch(os.getpid())
    elif OWNS_WARM_PROCESS:
        os.environ[warm.OWNER] = "off"  # a job that stands alone has nothing to share


def ask_first(executor):
    """Refuse what SLURM would not take, and see to where its logs go and how often it is asked."""
    dag = workflow.dag
    sent = {dag.get_job_group(job) or job for job in dag.needrun_jobs() if not job.is_local}
    kinds = [(", ".join(sorted(unit.rules)), dict(unit.resources.items())) for unit in sent]
    if not sent:
        return
    try:
        slurm.refuse(slurm.requests(kinds))
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    settings = workflow.executor_settings
    if settings.logdir is None:
        executor.slurm_logdir = Path(LOGS, "slurm").absolute()
    first, longest = slurm.pauses(settings.init_seconds_before_status_checks)
    settings.init_seconds_before_status_checks = first
    cap_pause(executor, longest)


def tell_what_jobs_took():
    lines = slurm.summary(slurm.records_since(Path(R), STARTED))
    print(*lines, sep="\n", file=sys.stderr)


onsuccess:
    if slurm_executor():
        tell_what_jobs_took()


onerror:
    executor = slurm_executor()
    if executor:
        # Ctrl-C cancels the jobs that the plugin knew of; one may have been on its way to the queue
        shell("scancel --name {executor.run_uuid} 2> /dev/null || true")
        tell_what_jobs_took()
