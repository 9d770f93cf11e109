"""Reading rows of data: CSV and JSONL files on a disk or any fsspec path, folders of them, and data sets of the Hub.

Every row knows where it stands, so that whatever is wrong with it can be said with file and line.
"""

from sofit.records.examples import read_examples
from sofit.records.filesystems import read_text
from sofit.records.record import Record
from sofit.records.splits import SPLIT_NAMES, read_split, take_split

__all__ = ["SPLIT_NAMES", "Record", "read_examples", "read_split", "read_text", "take_split"]
