"""What a run leaves behind, beside its checkpoints and weights."""

from sofit.outputs.comparison import Comparison, compare, tabulate
from sofit.outputs.entries import evaluation_entry, prediction_entries, same_evaluation
from sofit.outputs.files import JsonLines, as_json, check_output, write_text
from sofit.outputs.folder import has_begun, open_remote_run, open_run_folder
from sofit.outputs.remote import RemoteRun, is_remote
from sofit.outputs.several_runs import compare_runs, read_results
from sofit.outputs.versions import installed_versions
from sofit.outputs.write import write_outputs

__all__ = [
    "Comparison",
    "JsonLines",
    "RemoteRun",
    "as_json",
    "check_output",
    "compare",
    "compare_runs",
    "evaluation_entry",
    "has_begun",
    "installed_versions",
    "is_remote",
    "open_remote_run",
    "open_run_folder",
    "prediction_entries",
    "read_results",
    "same_evaluation",
    "tabulate",
    "write_outputs",
    "write_text",
]
