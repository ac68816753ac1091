# The only code, except root.smk, that uses Snakemake's own objects or this process: the environment of
# jobs, the garbage collector, the warm process, console output, SLURM. Included before all other files; its
# hooks use STUDY, R and LOGS of common.smk, which are defined when a run starts.
# tests/test_private_names.py lists every internal name that is used here.

import fcntl
import functools
import gc
import logging
import re
import signal
import threading
import time

from langarith.cluster import processes, runs, slurm
from langarith.errors import InputError
from langarith.files import write_text
from langarith.jobs import warm

STARTED = time.time()


def refuse(sentence):
    """End this process with a sentence, without a traceback."""
    print(sentence, file=sys.stderr)
    sys.exit(1)


if len(sys.executable.split()) > 1:  # Snakemake does not quote it in the commands of jobs
    refuse(
        f"{sys.executable}: Snakemake cannot start jobs by a path with a space; move the project, "
        "with its .venv, into a folder without one"
    )

# --- environment of this process and of its jobs ---

# Jobs import the library from here, wherever they run. None may use the network, except those of
# download.smk, which allow it for themselves.
os.environ.update(
    PYTHONPATH=os.pathsep.join([f"{ROOT}/workflow", *filter(None, [os.environ.get("PYTHONPATH")])]),
    HF_HUB_OFFLINE="1",
)
# glibc keeps freed memory for the next training step: on a CPU every layer allocates its output again.
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 28))
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 25))

# On a CPU in bf16, oneDNN keeps compiled kernels for each shape of a batch, 1024 by default: 120 steps of a
# small encoder on batches of 193 lengths grew from 256 to 1075 MB, and with 64 to 771 MB, no slower; with one
# length they stayed at 305 MB. Task trainings also round lengths up (training/batching.py, CPU_MULTIPLE).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

# OpenMP threads sleep while they wait: on a machine with other work, threads that spin slow each other
# down tenfold and more. Its library reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Snakemake keeps all jobs that it plans, so frequent passes of the garbage collector free nothing:
# they took a fifth of the planning of a large study.
gc.freeze()
gc.set_threshold(100_000)

# --- command line and profile ---

IS_MODULE = not workflow.modifier.is_main_snakefile()

# The file after --configfile; of a module the `configfile:` of the Snakefile that imports it.
STUDY_FILES = [
    str(path)
    for path in workflow.config_settings.configfiles or workflow.configfiles or ["config.yaml"]
]
STUDY_OVERRIDES = dict(workflow.config_settings.config)


def refuse_unfit_module():
    """End with a sentence if a module has options that this workflow does not support as a module.

    Plans, profiles and records identify rules by name, and jobs write below `results_dir`.
    """
    importing, page = workflow.modifier, "docs/module.md"
    if importing.modify_rulename("all") != "all":
        refuse(
            f"module {importing.namespace}: use its rules without 'as', since their names are used ({page})"
        )
    if importing.path_modifier.replace_prefix("results/x") != "results/x":
        refuse(
            f"module {importing.namespace}: leave out 'prefix'; set results_dir in the study instead"
        )
    if config and config != importing.parent_modifier.globals["config"]:
        refuse(
            f"module {importing.namespace}: its 'config' is not a whole study; name the study's file by "
            f"'configfile:' above it and write 'config: config' ({page})"
        )


if IS_MODULE:
    refuse_unfit_module()


def jobs_at_once():
    """Jobs that may run at the same time: --jobs, or --cores."""
    return workflow.nodes or workflow.resource_settings.cores or 1


def runs_on_cluster(_):
    """Whether jobs are submitted, not run here; only defined once there is an executor."""
    return not workflow.local_exec


def limit_at_once(resource, count):
    """Bound a resource to `count` over all jobs, unless `--resources` does."""
    if resource not in workflow.global_resources:
        workflow.register_resource(resource, count)


def share_profile_settings(name, rules):
    """Apply the profile's `set-resources: {name}` to several rules; a rule's own settings win.

    Snakemake reads these settings once, at the first rule, which may be of a Snakefile that imports
    this one: the settings that it has read are deleted.
    """
    settings = workflow.resource_settings.overwrite_resources
    vars(workflow.resource_settings).pop("_parsed_overwrite_resources", None)
    if name in settings:
        shared = {}
        for sweep in rules:
            shared[sweep] = settings[name].copy()
            shared[sweep].update(settings.get(sweep, {}))
        workflow.resource_settings.overwrite_resources = {**settings, **shared}


# --- the warm process of this run (langarith.jobs.warm), which ends with it ---

OWNS_WARM_PROCESS = warm.claim()


def requests_gpus():
    """Whether a planned job requests a GPU, that is, trains or sweeps."""
    return any("gpu" in job.rule.resources for job in workflow.dag.needrun_jobs())


# --- console output ---


class FailedJobLogs(logging.Handler):
    """Shows the last lines of a failed job's logs; Snakemake itself would show the whole logs."""

    def emit(self, record):
        event = getattr(record, "event", None)
        if event is None or getattr(record, "indent", False):
            return  # Snakemake also reports each member of a failed group, which is shown as a group
        if event.value == "job_error":
            own = [log for log in record.log if log.startswith(LOGS)]
            runs.note_failed(Path(R), own)
            self.show(own, [log for log in record.log if log not in own], record.aux)
        elif event.value == "group_error":
            # a member that succeeded has its record, the last of its outputs
            failed = [j for j in record.job_error_info if not os.path.exists(j["output"][-1])]
            logs = [log for j in failed for log in j["log"]]
            runs.note_failed(Path(R), logs)
            self.show(logs, record.aux_logs, vars(record))

    def show(self, logs, slurm_logs, details):
        job = details.get("external_jobid")
        lines_of = {log: slurm.last_lines(log, job=job) for log in logs}
        lines_of |= {log: slurm.last_words(log) for log in slurm_logs}
        if not any(lines_of.values()):  # the job ended before its script began
            lines_of = {log: slurm.last_lines(log) for log in slurm_logs}
        for log, lines in lines_of.items():
            if lines:
                print(f"Last lines of {log}:", *lines, sep="\n    ", file=sys.stderr)


# --- SLURM ---


def slurm_executor():
    """The executor that submits to SLURM; None if another one runs the jobs."""
    executor = getattr(workflow.scheduler, "_executor", None)
    return executor if hasattr(executor, "slurm_logdir") else None


def limit_status_interval(executor, longest):
    """Keep the plugin's interval between status checks, which grows to 180 s, below `longest` s.

    :func:`langarith.cluster.slurm.pauses` explains why.
    """

    def interval(self):
        return min(vars(self).get("next_seconds_between_status_checks", longest), longest)

    def set_interval(self, seconds):
        vars(self)["next_seconds_between_status_checks"] = seconds

    type(executor).next_seconds_between_status_checks = property(interval, set_interval)


def prepare_cluster(executor):
    """End with one sentence if SLURM refuses a request; set its log folder and status interval.

    The names of its jobs begin with the study's, so that squeue distinguishes the studies of a user.
    """
    dag = workflow.dag
    submitted = {dag.get_job_group(job) or job for job in dag.needrun_jobs() if not job.is_local}
    kinds = [(", ".join(sorted(unit.rules)), dict(unit.resources.items())) for unit in submitted]
    if not submitted:
        return
    try:
        slurm.refuse(slurm.requests(kinds))
    except InputError as error:
        refuse(error)
    settings = workflow.executor_settings
    if settings.logdir is None:
        executor.slurm_logdir = Path(LOGS, "slurm").absolute()
    first, longest = slurm.pauses(settings.init_seconds_before_status_checks)
    settings.init_seconds_before_status_checks = first
    limit_status_interval(executor, longest)
    if not settings.jobname_prefix:  # the profile may set another
        executor.run_uuid = f"{re.sub('[^A-Za-z0-9_-]', '-', STUDY.name)[:50]}_{executor.run_uuid}"


def print_usage():
    """Print time and memory that the jobs of SLURM used, next to what they requested."""
    lines = slurm.summary(slurm.records_since(Path(R), STARTED))
    print(*lines, sep="\n", file=sys.stderr)


# --- Ctrl-C ---

INTERRUPTED = threading.Event()


def interrupt(*_):
    """Start no further jobs; trainings that run save their state.

    The run then ends as a failed one: `onerror` prints what was stopped. Without this, Snakemake
    would end in the middle of its event loop, with tracebacks. A terminal sends Ctrl-C to the jobs,
    too; `kill -INT` does not, so it is passed on to those that still run after a second.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    INTERRUPTED.set()
    print("Interrupted: waiting for jobs to save and end (Ctrl-C again: at once)", file=sys.stderr)
    # in threads of their own: the first waits for a lock that this one may hold
    threading.Thread(target=workflow.scheduler.exit_gracefully).start()
    passed_on = functools.partial(processes.signal_descendants, signal.SIGINT, of_group=True)
    threading.Timer(1.0, passed_on).start()


def interrupt_cluster_run(*arguments):
    """Note Ctrl-C for `onerror`, and let Snakemake cancel its jobs.

    Before `onerror`, Snakemake waits for the plugin's thread, which may sleep until the next status
    check.
    """
    if not INTERRUPTED.is_set():
        print(
            "Interrupted: waiting for jobs to save and end, up to four minutes "
            "(Ctrl-C again: at once, without a list of them)",
            file=sys.stderr,
        )
    INTERRUPTED.set()
    signal.default_int_handler(*arguments)


def is_news(record):
    """Whether a message is printed: not after Ctrl-C, when all are about failed jobs."""
    return not INTERRUPTED.is_set()


# --- one run at a time in a results folder ---

LOCKS = []


def refuse_jobs_beside_questions():
    """End with a sentence if `plan` or `check` is requested with targets that would run now."""
    rules = {rule.name for rule in workflow.dag.targetrules}
    asked = sorted(rules & {"plan", "check"})
    others = sorted(rules - {"plan", "check"}) + sorted(map(str, workflow.dag.targetfiles))
    if asked and others:
        part = f"; `langarith plan STUDY {others[0]}` plans a part" if "plan" in asked else ""
        refuse(
            f"{asked[0]} is about the whole study, and {others[0]} beside it would run now: request "
            f"{asked[0]} alone{part}"
        )


def lock_results():
    """End with a sentence if a run of another working directory writes into the results folder.

    The system removes the lock when this process ends in any way. Snakemake itself only locks the
    working directory.
    """
    path = Path(R, runs.LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a")
    for last in (False, True):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if last:
                refuse(
                    f"results_dir: another run is writing into {R}; wait for its end, or stop it"
                )
            time.sleep(0.2)  # `langarith status` may be testing the lock
        except OSError as error:
            print(f"No lock on {R} ({error.strerror}): start one run at a time", file=sys.stderr)
            break
    LOCKS.append(file)  # closed, and so removed, with this process


# --- study.json ---


def write_study_file():
    write_text(f"{R}/study.json", loading.identity(STUDY))


def restore_study_file():
    """Write it again if it was deleted: Snakemake calls no hook if no job is to run."""
    deleted = os.path.exists(f"{R}/{runs.PLAN}") and not os.path.exists(f"{R}/study.json")
    if deleted and workflow.exec_mode.name == "DEFAULT" and not workflow.dryrun:
        write_study_file()


# --- the plan and the results of this run, for `langarith status` and for its end ---

PLANNED = []  # the results folder, once a run with jobs has started


def write_plan():
    executor = slurm_executor()
    has_jobs = runs.begin(
        Path(R),
        [(job.rule.name, job.log, job.output) for job in workflow.dag.needrun_jobs()],
        at_once=jobs_at_once(),
        cluster=executor.run_uuid if executor else "",
        study=STUDY_FILE,
        overrides=STUDY_OVERRIDES,
    )
    if has_jobs:
        PLANNED.append(R)


# --- hooks ---

if workflow.exec_mode.name == "DEFAULT":
    from snakemake.logging import logger

    if not any(type(handler).__name__ == "FailedJobLogs" for handler in logger.handlers):
        logger.addHandler(FailedJobLogs())  # a module is read again at each `use rule`
elif "SLURM_JOB_ID" in os.environ:
    slurm.pass_signals_on()
    if OWNS_WARM_PROCESS and any(word.startswith("sweep_") for word in sys.argv):
        # for all members of the group: if a member's job step started it, it would end with that step
        warm.launch(os.getpid())
    elif OWNS_WARM_PROCESS:
        os.environ[warm.OWNER_VARIABLE] = "off"  # a single job, which shares nothing


onstart:
    if workflow.exec_mode.name == "DEFAULT":
        refuse_jobs_beside_questions()
        lock_results()
        if workflow.local_exec:
            signal.signal(signal.SIGINT, interrupt)
            logger.addFilter(is_news)
    if slurm_executor():
        prepare_cluster(slurm_executor())
        signal.signal(signal.SIGINT, interrupt_cluster_run)
    elif OWNS_WARM_PROCESS and workflow.local_exec and requests_gpus():
        warm.launch(os.getpid())  # while the first jobs, which need no model, run
    write_study_file()
    if workflow.exec_mode.name == "DEFAULT":
        write_plan()


onsuccess:
    if slurm_executor():
        print_usage()
    if PLANNED:
        print(*runs.made_by_last(Path(R)), sep="\n", file=sys.stderr)


onerror:
    executor = slurm_executor()
    if executor:
        # Ctrl-C cancels the jobs that the plugin has listed; another may just enter the queue
        shell("scancel --name {executor.run_uuid} 2> /dev/null || true")
        if INTERRUPTED.is_set():
            slurm.wait_until_ended(executor.run_uuid)
        print_usage()
    if INTERRUPTED.is_set() and PLANNED:
        from langarith.commands import status

        print(*status.stopped(Path(R)), sep="\n", file=sys.stderr)


# Snakemake calls the hooks of a module only if the Snakefile that imports it does so.
if IS_MODULE:
    for hook in ("onstart", "onsuccess", "onerror"):
        if vars(workflow)[f"_{hook}"].__module__ == "snakemake.workflow":  # it has none of its own
            setattr(workflow, f"_{hook}", globals()[hook].func)
