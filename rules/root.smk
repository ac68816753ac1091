# Where this workflow is. Included first, and by its place beside the Snakefile: all other files are named
# from ROOT. `workflow.basedir` is not ROOT where somebody's own Snakefile imports this one as a module.

import tempfile


def root():
    """The folder of the workflow: of its Snakefile or, where that was read from a repository, a clone."""
    folder = workflow.current_basedir.join("..")
    place = folder.get_path_or_uri(secret_free=True)
    return clone_of(folder) if "://" in place else Path(os.path.normpath(place))


def clone_of(source):
    """A clone at the commit that a module names by github(...) or gitlab(...).

    Snakemake itself reads single files of a repository; rules need the library and the scripts, too.
    """
    from git import Repo

    if not hasattr(source, "hosted_repo"):
        sys.exit(
            f"{source.get_path_or_uri(secret_free=True)}: a Snakefile alone cannot run; name it by "
            "github(...), or by its path in a clone of the repository"
        )
    repository = source.hosted_repo.repo_clone  # which Snakemake has made to read the Snakefile
    commit = Repo(repository).commit(source.ref).hexsha
    folder = Path(".snakemake/langarith", commit).absolute()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            clone = Repo.clone_from(str(repository), partial, no_checkout=True)
            clone.git.checkout("--detach", commit)
            try:
                os.rename(partial, folder)  # whole or not at all: jobs may do the same
            except OSError:
                if not folder.is_dir():
                    raise
            os.makedirs(partial, exist_ok=True)  # for TemporaryDirectory to remove
    return folder


ROOT = root()
sys.path.insert(0, f"{ROOT}/workflow")
