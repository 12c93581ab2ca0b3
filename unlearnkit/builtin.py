"""What the kit itself offers: names and import strings, nothing else.

It registers through the same hooks as any plugin.
"""

from __future__ import annotations

from unlearnkit.hookspecs import hookimpl


@hookimpl
def register_algorithms() -> dict[str, str]:
    return {
        "ga": "unlearnkit.algorithms.ga:GA",
        "graddiff": "unlearnkit.algorithms.graddiff:GradDiff",
        "kl": "unlearnkit.algorithms.kl:KL",
        "idk": "unlearnkit.algorithms.idk:IDK",
        "idk-ap": "unlearnkit.algorithms.idk_ap:IDKAP",
        "dpo": "unlearnkit.algorithms.dpo:DPO",
        "altpo": "unlearnkit.algorithms.altpo:AltPO",
        "llmu": "unlearnkit.algorithms.llmu:LLMU",
        "jensun": "unlearnkit.algorithms.jensun:JensUn",
        "npo": "unlearnkit.algorithms.npo:NPO",
        "simnpo": "unlearnkit.algorithms.simnpo:SimNPO",
        "wga": "unlearnkit.algorithms.wga:WGA",
        "satimp": "unlearnkit.algorithms.satimp:SatImp",
        "ceu": "unlearnkit.algorithms.ceu:CEU",
        "me": "unlearnkit.algorithms.me:ME",
        "undial": "unlearnkit.algorithms.undial:UNDIAL",
        "flat": "unlearnkit.algorithms.flat:FLAT",
        "pdu": "unlearnkit.algorithms.pdu:PDU",
        "rmu": "unlearnkit.algorithms.rmu:RMU",
        "adaptive-rmu": "unlearnkit.algorithms.adaptive_rmu:AdaptiveRMU",
        "task-vector": "unlearnkit.algorithms.task_vector:TaskVector",
    }


@hookimpl
def register_wrappers() -> dict[str, str]:
    return {
        "gru": "unlearnkit.wrappers.gru:GRU",
        "ngdiff": "unlearnkit.wrappers.ngdiff:NGDiff",
        "sam": "unlearnkit.wrappers.sam:SAM",
        "soul": "unlearnkit.wrappers.soul:SOUL",
    }


@hookimpl
def register_scorers() -> dict[str, str]:
    return {
        "mrd": "unlearnkit.scorers.mrd:MRD",
        "hessian-trace": "unlearnkit.scorers.hessian_trace:HessianTrace",
        "loss": "unlearnkit.scorers.loss:Loss",
        "grad-norm": "unlearnkit.scorers.grad_norm:GradNorm",
        "length": "unlearnkit.scorers.length:Length",
        "min-k": "unlearnkit.scorers.min_k:MinK",
        "memorization": "unlearnkit.scorers.memorization:Memorization",
        "representation": "unlearnkit.scorers.representation:Representation",
        "word-rarity": "unlearnkit.scorers.word_rarity:WordRarity",
        "type-token": "unlearnkit.scorers.type_token:TypeToken",
        "readability": "unlearnkit.scorers.readability:Readability",
        "ngram-overlap": "unlearnkit.scorers.ngram_overlap:NgramOverlap",
        "occurrence": "unlearnkit.scorers.occurrence:Occurrence",
    }


@hookimpl
def register_samplers() -> dict[str, str]:
    return {
        "uniform": "unlearnkit.samplers.uniform:Uniform",
        "mrd": "unlearnkit.samplers.mrd:MRDSampler",
        "mrd-per-token": "unlearnkit.samplers.mrd_per_token:MRDPerToken",
        "curriculum": "unlearnkit.samplers.curriculum:Curriculum",
        "hard-first": "unlearnkit.samplers.hard_first:HardFirst",
        "stratified": "unlearnkit.samplers.stratified:Stratified",
        "active": "unlearnkit.samplers.active:Active",
    }


@hookimpl
def register_metrics() -> dict[str, str]:
    return {
        "probability": "unlearnkit.metrics.probability:Probability",
        "probability_options": "unlearnkit.metrics.probability:ProbabilityAgainstOptions",
        "choice": "unlearnkit.metrics.choice:Choice",
        "rouge": "unlearnkit.metrics.rouge:Rouge",
        "truth_ratio": "unlearnkit.metrics.truth_ratio:TruthRatio",
        "verbatim_probability": "unlearnkit.metrics.verbatim:VerbatimProbability",
        "token_entropy": "unlearnkit.metrics.token_entropy:TokenEntropy",
        "repetition": "unlearnkit.metrics.repetition:Repetition",
        "similarity": "unlearnkit.metrics.similarity:Similarity",
        "entailment": "unlearnkit.metrics.entailment:Entailment",
        "loss": "unlearnkit.metrics.loss:Loss",
        "zlib": "unlearnkit.metrics.compression:Zlib",
        "min_k": "unlearnkit.metrics.min_k:MinK",
        "min_k_plus": "unlearnkit.metrics.min_k:MinKPlus",
        "recall": "unlearnkit.metrics.recall:ReCaLL",
        "grad_norm": "unlearnkit.metrics.grad_norm:GradNorm",
        "exact_memorization": "unlearnkit.metrics.memorization:ExactMemorization",
        "extraction_strength": "unlearnkit.metrics.memorization:ExtractionStrength",
        "recorded": "unlearnkit.metrics.recorded:Recorded",
    }


@hookimpl
def register_aggregates() -> dict[str, str]:
    return {
        "forget_quality": "unlearnkit.metrics.forget_quality:ForgetQuality",
        "model_utility": "unlearnkit.metrics.model_utility:ModelUtility",
        "unlearning_completeness": "unlearnkit.metrics.unlearning_completeness:UnlearningCompleteness",
        "utility": "unlearnkit.metrics.utility:Utility",
        "auc": "unlearnkit.metrics.membership:AUC",
        "tpr": "unlearnkit.metrics.membership:TPR",
        "privacy_leakage": "unlearnkit.metrics.membership:PrivacyLeakage",
        "mia_reference": "unlearnkit.metrics.membership:MIAReference",
    }


@hookimpl
def register_attacks() -> dict[str, str]:
    return {
        "relearn": "unlearnkit.attacks.relearn:Relearn",
        "quantize": "unlearnkit.attacks.quantize:Quantize",
        "paraphrase": "unlearnkit.attacks.paraphrase:Paraphrase",
        "sample": "unlearnkit.attacks.sample:Sampling",
    }


@hookimpl
def register_suites() -> dict[str, str]:
    names = ("tofu", "muse", "wmdp", "mmlu", "rwku", "memorization", "membership", "own")
    return {name: f"unlearnkit.suites:{name}.yaml" for name in names}
