"""From a source to batches: rows are read and checked (`sources`, `samples`), turned into token ids and a label mask
by a template (`encode`), and grouped into padded batches (`collate`)."""

from unlearnkit.data.samples import DataSpec, SampleSet, load_samples

__all__ = ["DataSpec", "SampleSet", "load_samples"]
