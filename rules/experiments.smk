# Inputs and parameters of experiments: their cells, the choice of lambda, tables, figures, the report.

# related languages can be proposed for every study, before any experiment can run
OFFERED = {*STUDY.experiments, "related_languages"}


@cache
def from_grid(function, *arguments):
    """Call a grid function, mostly of an experiment; a mistake ends the run with one sentence."""
    for name in arguments:
        if name in experiments.EXPERIMENTS and name not in OFFERED:
            missing_experiment(name)
    try:
        return function(STUDY, *arguments)
    except InputError as error:
        refuse(f"{STUDY_FILE}: {error}")


def cells(experiment):
    return from_grid(experiments.cells, experiment)


def cell_file(cell, name):
    return f"{CELL.format(**cell.wildcards)}/{name}"


def adapter_folder(run):
    """The folder of a task adapter, or of a language adapter that is trained here."""
    if run.kind == "task":
        return task_adapter_folder(run.model, run.name, run.seed)
    return f"{R}/{run.folder}"


# With allow_missing the rules that train and evaluate are left out of the workflow, and a table is
# made from the existing files. Without it, all files are required.
def existing(paths):
    return [path for path in paths if os.path.exists(path)] if STUDY.allow_missing else paths


def is_swept(cell, experiment):
    """Whether all files exist that the rows of a cell in an experiment's table are made from."""
    files = [cell_file(cell, name) for name in ("selected.json", "outcomes.parquet")]
    if rules_of_study.shows_choice(experiment):
        files += [file for part in choice_files(cell) for file in part]
    return all(map(os.path.exists, files))


def swept_cells(experiment):
    """Cells of an experiment; with allow_missing those that have been swept."""
    return [c for c in cells(experiment) if not STUDY.allow_missing or is_swept(c, experiment)]


# --- the choice of lambda by the study's `selection`, computed from files after the sweeps ---
def other_targets(cell):
    """Sweeps of other targets in the place of a cell, see `selection.group_key`."""
    return [cell_file(other, "selected.json") for other in from_grid(rules_of_study.others)[cell]]


def losses_file(cell):
    return f"{MASKED_LM.format(**cell.wildcards)}/losses.json"


def choice_files(cell):
    """Further inputs of the study's rule, from sweeps of other targets and from losses."""
    needs = selection.get(STUDY.selection).needs
    others = other_targets(cell) if "other targets" in needs else []
    return others, [losses_file(cell)] if "raw text" in needs else []


def sweeps_of_other_targets(experiment):
    """Sweeps of other targets that the choices of an experiment need, without its own."""
    if "other targets" not in rules_of_study.needs(STUDY, experiment):
        return []
    own = set(selections(experiment))
    others = [file for c in swept_cells(experiment) for file in other_targets(c)]
    return existing([file for file in dict.fromkeys(others) if file not in own])


def missing_other_targets(experiment):
    """Cells of other targets, outside an experiment, that a choice needs and that are not swept."""
    if not STUDY.allow_missing:
        return []
    own = cells(experiment)
    others = dict.fromkeys(
        other for cell in own for other in from_grid(rules_of_study.others)[cell]
    )
    elsewhere = [cell for cell in others if cell not in own]
    return [c.wildcards for c in elsewhere if not os.path.exists(cell_file(c, "selected.json"))]


def losses_of_cells(experiment):
    """Masked-LM losses that the choices of an experiment need."""
    if "raw text" not in rules_of_study.needs(STUDY, experiment):
        return []
    return existing(list(dict.fromkeys(map(losses_file, swept_cells(experiment)))))


def losses_of_texts(experiment):
    """Masked-LM losses that an experiment reports."""
    return existing(list(map(losses_file, experiments.texts(STUDY, experiment))))


def chosen_points(experiment):
    """The choices of the study's rule; none if sweeps make these choices themselves."""
    own = STUDY.selection != "validation" and rules_of_study.shows_choice(experiment)
    return [CHOSEN.format(experiment=experiment)] if own else []


def selections(experiment):
    """The chosen lambda and scores of every cell of an experiment."""
    return [cell_file(cell, "selected.json") for cell in swept_cells(experiment)]


def outcomes_of_cells(experiment):
    """The counts of every example of the cells of an experiment."""
    return [cell_file(cell, "outcomes.parquet") for cell in swept_cells(experiment)]


def gains_table(experiment):
    """The intervals of the gains of an experiment; none if it has no gains."""
    return [GAINS.format(experiment=experiment)] if experiment in experiments.GAINS else []


def choices_table(experiment):
    """The table of choices on validation; none if an experiment shows no such choice."""
    return [CHOICES.format(experiment=experiment)] if has_choices(experiment) else []


def has_choices(experiment):
    """Whether an experiment has a table of choices, which are those of the rule `validation`."""
    view = experiments.EXPERIMENTS[experiment]
    return view.choices and (
        STUDY.selection == "validation" or not rules_of_study.shows_choice(experiment)
    )


def price_table(experiment):
    """The price of labels, for the table of the rules."""
    needed = experiment == "label_free"
    return [TABLE.format(experiment=LABEL_PRICE)] if needed else []


def claims_table(experiment):
    """The verdicts on the paper's claims, for the table of the paper's numbers."""
    return [CLAIMS] if experiment == "reproduction" else []


def task_types(experiment):
    """The type of each task of an experiment."""
    return {c.task: sources.task_type(STUDY, c.task) for c in cells(experiment)}


def parallel(names):
    """Tasks whose test sets are translations of each other: their examples are drawn together."""
    return [name for name in names if STUDY.tasks[name].parallel]


def compared_with_paper(quantities=()):
    """Experiments of the study whose numbers, or some of them, are compared with the paper's."""
    return [name for name in stated.compared(quantities) if name in STUDY.experiments]


def compared_outcomes(_):
    """The counts behind the scores that are compared with the paper's."""
    files = [p for name in compared_with_paper(stated.SCORES) for p in outcomes_of_cells(name)]
    return list(dict.fromkeys(files))


def compared_types():
    """The type of each task whose scores are compared with the paper's."""
    names = compared_with_paper(stated.SCORES)
    return {task: kind for name in names for task, kind in task_types(name).items()}


def missing_cells(experiment):
    """Cells that a partial table lacks, each with the log of the job that did not succeed."""
    if not STUDY.allow_missing:
        return []
    missing = [
        (cell, CELL.removeprefix(f"{R}/evaluation/"), first_metric(cell.task))
        for cell in cells(experiment)
        if not is_swept(cell, experiment)
    ]
    missing += [
        (cell, MASKED_LM.removeprefix(f"{R}/"), MASKED_LM_LOSS)
        for cell in experiments.texts(STUDY, experiment)
        if not os.path.exists(losses_file(cell))
    ]
    return [
        cell.wildcards
        | {
            "cell": place.format(**cell.wildcards),
            "metric": metric,
            "log": failed_log(cell),
        }
        for cell, place, metric in missing
    ]


def first_metric(task):
    """The metric of a task that chooses lambda."""
    return tasks.get(sources.task_type(STUDY, task)).metrics[0]


def failed_log(cell):
    """The log of the job without output that a cell needs first, or else of the sweep.

    The base model, checks, adapters and their Fisher information are looked at, in this order.
    """
    if STUDY.models[cell.model].source == "pretrain":
        # a model that starts from another one has the tokenizer of that one
        tokenizers = [] if start_files(cell.model) else [(tokenizer, TOKENIZER_LOG)]
        for files, log in (*tokenizers, (encoder, MODEL_LOG)):
            if not all(map(os.path.exists, files(cell.model))):
                return log.format(model=cell.model)
    below_task = [TASK_LANGUAGE] if cell.task else []
    ready = adapter_check(cell.model, *cell.operands, *below_task)
    if ready and not os.path.exists(ready):
        return READY_LOG.format(model=cell.model)
    for language in (STUDY.task_language, cell.target) if cell.task else ():
        check = task_check(cell.task, language)
        if check and not os.path.exists(check):
            return CHECK_LOG.format(task=cell.task, language=language)
    for run in experiments.runs_of(STUDY, [cell]):
        ready = sources.is_ready(STUDY, run)
        if ready and run.kind == "language":
            continue
        if not os.path.exists(f"{adapter_folder(run)}/{ADAPTER_FILES[-1]}"):
            name = f"{run.model}-{run.name}-seed{run.seed}"
            return f"{LOGS}/score_task_adapter/{name}.log" if ready else f"{R}/{run.log}"
    if not cell.task:
        return MASKED_LM_LOG.format(**cell.wildcards)
    if os.path.exists(cell_file(cell, "selected.json")):
        if not all(map(os.path.exists, choice_files(cell)[1])):
            return MASKED_LM_LOG.format(**cell.wildcards)
        for other in from_grid(rules_of_study.others)[cell]:
            if not os.path.exists(cell_file(other, "selected.json")):
                return failed_log(other)
    if merging.get(cell.method).needs_fisher:
        for operand in cell.operands:
            if not os.path.exists(fisher_file(cell.model, operand, cell.seed)):
                return adapter_path(FISHER_LOG, cell.model, operand, cell.seed)
    return sweep_log(cell.method, len(cell.operands)).format(**cell.wildcards)


def new_points(experiment):
    """Lambdas that a finer grid adds to sweeps that have run.

    Snakemake does not rerun a job for a new output that no other job needs, so that without these
    inputs a finer grid would have no effect.
    """
    files = []
    for cell in cells(experiment):
        folder = CELL.format(**cell.wildcards)
        names = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        if "selected.json" in names and not STUDY.allow_missing:
            points = [
                f"lambda={point_text(point)}.json"
                for point in grid.search(STUDY, cell.method, len(cell.operands)).first
            ]
            files += [f"{folder}/{point}" for point in points if point not in names]
    return files


def task_scores(experiment):
    """Scores of the task adapters on their own language: a reference row."""
    runs = from_grid(experiments.runs, experiment)
    return existing([f"{adapter_folder(run)}/task.json" for run in runs if run.kind == "task"])


def vector_adapters(experiment):
    """Adapters that an experiment on language vectors compares: (identity, path) pairs."""
    return lambda _: [
        ((run.model, run.kind, run.name, run.seed), f"{adapter_folder(run)}/{ADAPTER_FILES[-1]}")
        for run in from_grid(experiments.vectors, experiment)
    ]


def vector_origins(experiment):
    """The initialisations that these adapters started from, with their model and kind."""
    return lambda _: [
        ((model, kind), f"{initial_folder(model, kind)}/{ADAPTER_FILES[-1]}")
        for model, kind in dict.fromkeys(
            (run.model, run.kind) for run in from_grid(experiments.vectors, experiment)
        )
    ]


def files_of(pairs):
    """The paths of a function's (identity, path) pairs, for a rule's input."""
    return lambda wildcards: existing([path for _, path in pairs(wildcards)])


def trained_runs():
    """Every adapter that the study's experiments need and that is trained here."""
    runs = [run for name in STUDY.experiments for run in from_grid(experiments.runs, name)]
    return [run for run in dict.fromkeys(runs) if not sources.is_ready(STUDY, run)]


def training_logs(wildcards):
    """Metrics logs of every base model and adapter that the study's experiments need."""
    runs = trained_runs()
    models = dict.fromkeys(run.model for run in runs)
    pretrained = [m for m in models if STUDY.models[m].source == "pretrain"]
    folders = [ENCODER.format(model=m) for m in pretrained] + [adapter_folder(r) for r in runs]
    return existing([f"{folder}/metrics.jsonl" for folder in folders])


def hub_files(_):
    """Every file of the hub that the study's experiments need."""
    runs = [run for name in STUDY.experiments for run in from_grid(experiments.runs, name)]
    datasets = [(cell.task, cell.target) for name in STUDY.experiments for cell in cells(name)]
    datasets += [(run.name, STUDY.task_language) for run in runs if run.kind == "task"]
    wanted = []
    for model in dict.fromkeys(run.model for run in runs):
        wanted += [*encoder(model), *tokenizer(model), *start_files(model), *model_shards(model)]
    for run in dict.fromkeys(runs):
        if run.kind == "language":
            wanted += operand_sources(run)
        else:
            wanted += ready_task_adapter(run.model, run.name)
    for task, language in dict.fromkeys(datasets):
        splits = sources.needed_splits(STUDY, language)
        wanted += [sources.task_file(STUDY, task, language, split) for split in splits]
    for cell in from_grid(rules_of_study.cells_with_losses):
        wanted += sources.held_out_shards(STUDY, cell.target)
    return sorted({path for path in wanted if path.startswith(f"{hub.FOLDER}/")})


def operand_sources(run):
    """Sources of a language adapter: raw shards, or its own files if it is ready-made."""
    operand = Operand.parse(run.name)
    if sources.is_ready_operand(STUDY, run.model, operand):
        return language_adapter(run.model, operand, run.seed)
    return sources.shards(STUDY, operand.language, operand.budget)


def experiment_results(name):
    """Files of a named target, as a function, so that only a requested target must be complete."""
    if name not in OFFERED:
        return lambda _: missing_experiment(name)
    figures = [name] if experiments.EXPERIMENTS[name].figure else []
    figures += [LABEL_PRICE] if price_table(name) else []
    return [
        *multiext(f"{R}/tables/{name}", ".csv", ".md", ".tex"),
        *gains_table(name),
        *choices_table(name),
        *price_table(name),
        *(
            f"{FIGURE.format(experiment=of)}{suffix}"
            for of in figures
            for suffix in (".pdf", ".png")
        ),
    ]


def missing_experiment(name):
    refuse(f"{STUDY_FILE}: no experiment '{name}'; add it under 'experiments'")


def learning_curves(_):
    """The figure of the study's trainings; none if it trains nothing."""
    if not trained_runs():
        return []
    return multiext(FIGURE.format(experiment="learning_curves"), ".pdf", ".png")


def caption(experiment=None):
    """The fields of `langarith.results.caption.Caption` for a figure or table.

    Without an experiment they are those of the learning curves.
    """
    view = STUDY.experiments.get(experiment)
    if experiment:
        languages = from_grid(experiments.languages_of, experiment)
    else:
        trained = {Operand.parse(r.name).language for r in trained_runs() if r.kind == "language"}
        languages = [language for language in STUDY.languages if language in trained]
    own = view.caption if view else None
    choices = experiment and experiments.EXPERIMENTS[experiment].chosen
    return {
        "about": experiments.EXPERIMENTS[experiment].about if experiment else "",
        "study": STUDY.name,
        "choice": f"λ was chosen {selection.get(STUDY.selection).how}." if choices else "",
        "note": STUDY.note,
        "models": view.models if view and view.models else list(STUDY.models),
        "seeds": STUDY.seeds,
        "task_language": STUDY.task_language,
        # only these, so that a new language does not redraw figures without it
        "languages": languages,
        "foot": STUDY.caption if own is None else own,
    }


# --- inputs of the report and the crate ---
def study_results(_):
    """Every result of the study; with allow_missing those that exist."""
    names = [path for name in STUDY.experiments for path in experiment_results(name)]
    return existing([*names, *learning_curves(None)])


def report_parts(_):
    """Caption and missing cells of each experiment, for the report."""
    parts = []
    for name in STUDY.experiments:
        missing = missing_cells(name) if experiments.EXPERIMENTS[name].cells else []
        further = [LABEL_PRICE] if name == "label_free" else []
        part = {"name": name, "caption": caption(name), "missing": missing, "further": further}
        parts.append(part)
    return parts


def template_hash(name):
    """The hash of a page's template, which affects the page and is not in the code fingerprint."""
    return sha256(f"{ROOT}/workflow/report/{name}")[:16]
