# The folder of this workflow. Included first, by a path relative to the Snakefile; all other paths start with
# ROOT. `workflow.basedir` is not ROOT if another Snakefile imports this one as a module.

import tempfile


def root():
    """The folder of the Snakefile or, if that was read from a repository, a clone."""
    folder = workflow.current_basedir.join("..")
    path = folder.get_path_or_uri(secret_free=True)
    return clone_of(folder) if "://" in path else Path(os.path.normpath(path))


def clone_of(source):
    """A clone at the commit that a module names by github(...) or gitlab(...).

    Snakemake itself reads single files of a repository; rules need the library and the scripts, too.
    """
    from git import Repo

    if not hasattr(source, "hosted_repo"):
        sys.exit(
            f"{source.get_path_or_uri(secret_free=True)}: a Snakefile cannot run without its repository; name it by "
            "github(...), or by its path in a clone of the repository"
        )
    repository = source.hosted_repo.repo_clone  # made by Snakemake to read the Snakefile
    commit = Repo(repository).commit(source.ref).hexsha
    folder = Path(".snakemake/langarith", commit).absolute()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            clone = Repo.clone_from(str(repository), partial, no_checkout=True)
            clone.git.checkout("--detach", commit)
            try:
                os.rename(partial, folder)  # complete or not at all: jobs may do the same
            except OSError:
                if not folder.is_dir():
                    raise
            os.makedirs(partial, exist_ok=True)  # for TemporaryDirectory to remove
    return folder


ROOT = root()
sys.path.insert(0, f"{ROOT}/workflow")
