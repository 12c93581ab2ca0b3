"""The kit's own plugins keep to the contracts that it sets for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from unlearnkit.algorithms.adaptive_rmu import AdaptiveRMU
from unlearnkit.algorithms.altpo import AltPO
from unlearnkit.algorithms.ceu import CEU
from unlearnkit.algorithms.dpo import DPO
from unlearnkit.algorithms.flat import FLAT
from unlearnkit.algorithms.ga import GA
from unlearnkit.algorithms.graddiff import GradDiff
from unlearnkit.algorithms.idk import IDK
from unlearnkit.algorithms.idk_ap import IDKAP
from unlearnkit.algorithms.jensun import JensUn
from unlearnkit.algorithms.kl import KL
from unlearnkit.algorithms.llmu import LLMU
from unlearnkit.algorithms.me import ME
from unlearnkit.algorithms.npo import NPO
from unlearnkit.algorithms.pdu import PDU
from unlearnkit.algorithms.rmu import RMU
from unlearnkit.algorithms.satimp import SatImp
from unlearnkit.algorithms.simnpo import SimNPO
from unlearnkit.algorithms.task_vector import TaskVector
from unlearnkit.algorithms.undial import UNDIAL
from unlearnkit.algorithms.wga import WGA
from unlearnkit.attacks.paraphrase import Paraphrase
from unlearnkit.attacks.quantize import Quantize
from unlearnkit.attacks.relearn import Relearn
from unlearnkit.attacks.sample import Sampling
from unlearnkit.contracts import KINDS, Undefined
from unlearnkit.metrics.choice import Choice
from unlearnkit.metrics.compression import Zlib
from unlearnkit.metrics.entailment import Entailment
from unlearnkit.metrics.forget_quality import ForgetQuality
from unlearnkit.metrics.grad_norm import GradNorm as GradNormMetric
from unlearnkit.metrics.loss import Loss as LossMetric
from unlearnkit.metrics.membership import AUC, TPR, MIAReference, PrivacyLeakage
from unlearnkit.metrics.memorization import ExactMemorization, ExtractionStrength
from unlearnkit.metrics.min_k import MinK as MinKMetric
from unlearnkit.metrics.min_k import MinKPlus
from unlearnkit.metrics.model_utility import ModelUtility
from unlearnkit.metrics.probability import Probability, ProbabilityAgainstOptions
from unlearnkit.metrics.recall import ReCaLL
from unlearnkit.metrics.recorded import Recorded
from unlearnkit.metrics.repetition import Repetition
from unlearnkit.metrics.rouge import Rouge
from unlearnkit.metrics.similarity import Similarity
from unlearnkit.metrics.token_entropy import TokenEntropy
from unlearnkit.metrics.truth_ratio import TruthRatio
from unlearnkit.metrics.unlearning_completeness import UnlearningCompleteness
from unlearnkit.metrics.utility import Utility
from unlearnkit.metrics.verbatim import VerbatimProbability
from unlearnkit.plugins import Plugins
from unlearnkit.samplers.active import Active
from unlearnkit.samplers.curriculum import Curriculum
from unlearnkit.samplers.hard_first import HardFirst
from unlearnkit.samplers.mrd import MRDSampler
from unlearnkit.samplers.mrd_per_token import MRDPerToken
from unlearnkit.samplers.stratified import Stratified
from unlearnkit.samplers.uniform import Uniform
from unlearnkit.scorers.grad_norm import GradNorm
from unlearnkit.scorers.hessian_trace import HessianTrace
from unlearnkit.scorers.length import Length
from unlearnkit.scorers.loss import Loss
from unlearnkit.scorers.memorization import Memorization
from unlearnkit.scorers.min_k import MinK
from unlearnkit.scorers.mrd import MRD
from unlearnkit.scorers.ngram_overlap import NgramOverlap
from unlearnkit.scorers.occurrence import Occurrence
from unlearnkit.scorers.readability import Readability
from unlearnkit.scorers.representation import Representation
from unlearnkit.scorers.type_token import TypeToken
from unlearnkit.scorers.word_rarity import WordRarity
from unlearnkit.testing import (
    AggregateContract,
    AlgorithmContract,
    AttackContract,
    MetricContract,
    SamplerContract,
    ScorerContract,
    WrapperContract,
)
from unlearnkit.wrappers.gru import GRU
from unlearnkit.wrappers.ngdiff import NGDiff
from unlearnkit.wrappers.sam import SAM
from unlearnkit.wrappers.soul import SOUL


class TestGA(AlgorithmContract):
    plugin = GA


class TestGradDiff(AlgorithmContract):
    plugin = GradDiff


class TestGradDiffWithoutRetain(AlgorithmContract):
    plugin = GradDiff
    options: ClassVar = {"alpha": 0.0}


class TestGradDiffByDistributions(AlgorithmContract):
    plugin = GradDiff
    options: ClassVar = {"retain": "kl"}


class TestKL(AlgorithmContract):
    plugin = KL


class TestIDK(AlgorithmContract):
    plugin = IDK


class TestIDKAP(AlgorithmContract):
    plugin = IDKAP


class TestDPO(AlgorithmContract):
    plugin = DPO


class TestAltPO(AlgorithmContract):
    plugin = AltPO


class TestLLMU(AlgorithmContract):
    plugin = LLMU


class TestJensUn(AlgorithmContract):
    plugin = JensUn


class TestIDKAPWithoutRetain(AlgorithmContract):
    plugin = IDKAP
    options: ClassVar = {"alpha": 0.0}


class TestLLMUWithoutRetain(AlgorithmContract):
    plugin = LLMU
    options: ClassVar = {"alpha": 0.0}


class TestJensUnWithoutRetain(AlgorithmContract):
    plugin = JensUn
    options: ClassVar = {"alpha": 0.0}


class TestNPO(AlgorithmContract):
    plugin = NPO


class TestSimNPO(AlgorithmContract):
    plugin = SimNPO


class TestWGA(AlgorithmContract):
    plugin = WGA


class TestSatImp(AlgorithmContract):
    plugin = SatImp


class TestCEU(AlgorithmContract):
    plugin = CEU


class TestME(AlgorithmContract):
    plugin = ME


class TestUNDIAL(AlgorithmContract):
    plugin = UNDIAL


class TestUNDIALWithoutRetain(AlgorithmContract):
    plugin = UNDIAL
    options: ClassVar = {"alpha": 0.0}


class TestFLAT(AlgorithmContract):
    plugin = FLAT


class TestPDU(AlgorithmContract):
    plugin = PDU


class TestRMU(AlgorithmContract):
    plugin = RMU


class TestRMUWithoutRetain(AlgorithmContract):
    plugin = RMU
    options: ClassVar = {"alpha": 0.0}


class TestAdaptiveRMU(AlgorithmContract):
    plugin = AdaptiveRMU


class TestTaskVector(AlgorithmContract):
    plugin = TaskVector


class TestGRU(WrapperContract):
    plugin = GRU


class TestNGDiff(WrapperContract):
    plugin = NGDiff


class TestSAM(WrapperContract):
    plugin = SAM


class TestSOUL(WrapperContract):
    plugin = SOUL
    options: ClassVar = {"every": 2}


class TestUniform(SamplerContract):
    plugin = Uniform


@pytest.mark.filterwarnings("ignore:all scores are equal")
class TestMRDSampler(SamplerContract):
    plugin = MRDSampler


class TestMRDPerToken(SamplerContract):
    plugin = MRDPerToken


@pytest.mark.filterwarnings("ignore:all scores are equal")
class TestCurriculum(SamplerContract):
    plugin = Curriculum


@pytest.mark.filterwarnings("ignore:all scores are equal")
class TestHardFirst(SamplerContract):
    plugin = HardFirst


@pytest.mark.filterwarnings("ignore:all scores are equal")
class TestStratified(SamplerContract):
    plugin = Stratified


class TestActive(SamplerContract):
    plugin = Active


@pytest.mark.filterwarnings("ignore:all scores are equal")
class TestActiveWeighted(SamplerContract):
    plugin = Active
    options: ClassVar = {"weight": "inverse-mrd"}


class TestMRD(ScorerContract):
    plugin = MRD
    options: ClassVar = {"draws": 2}


class TestHessianTrace(ScorerContract):
    plugin = HessianTrace
    options: ClassVar = {"draws": 2}


class TestLoss(ScorerContract):
    plugin = Loss


class TestGradNorm(ScorerContract):
    plugin = GradNorm


class TestLength(ScorerContract):
    plugin = Length


class TestMinK(ScorerContract):
    plugin = MinK


class TestMemorization(ScorerContract):
    plugin = Memorization


class TestRepresentation(ScorerContract):
    plugin = Representation


class TestWordRarity(ScorerContract):
    plugin = WordRarity


class TestTypeToken(ScorerContract):
    plugin = TypeToken


class TestReadability(ScorerContract):
    plugin = Readability


class TestNgramOverlap(ScorerContract):
    plugin = NgramOverlap


class TestOccurrence(ScorerContract):
    plugin = Occurrence


class TestProbability(MetricContract):
    plugin = Probability


class TestProbabilityAgainstOptions(MetricContract):
    plugin = ProbabilityAgainstOptions


class TestChoice(MetricContract):
    plugin = Choice


class TestRouge(MetricContract):
    plugin = Rouge


class TestTruthRatio(MetricContract):
    plugin = TruthRatio


class TestExactMemorization(MetricContract):
    plugin = ExactMemorization


class TestExtractionStrength(MetricContract):
    plugin = ExtractionStrength


class TestVerbatimProbability(MetricContract):
    plugin = VerbatimProbability


class TestTokenEntropy(MetricContract):
    plugin = TokenEntropy


class TestRepetition(MetricContract):
    plugin = Repetition


class TestLossMetric(MetricContract):
    plugin = LossMetric


class TestZlib(MetricContract):
    plugin = Zlib


class TestMinKMetric(MetricContract):
    plugin = MinKMetric


class TestMinKPlus(MetricContract):
    plugin = MinKPlus


class TestReCaLL(MetricContract):
    plugin = ReCaLL


class TestGradNormMetric(MetricContract):
    plugin = GradNormMetric


class TestTruthRatioAsAShare(MetricContract):
    plugin = TruthRatio
    options: ClassVar = {"form": "share", "wrong": "arithmetic", "epsilon": 1e-10}


class Judged(MetricContract):
    """By a further model, which the class makes first."""

    kind_of_model: ClassVar[str]

    @pytest.fixture(autouse=True, scope="class")
    def _model(self, request: pytest.FixtureRequest, tiny_model_dir: Path, tmp_path_factory: Any) -> None:
        import transformers as tf

        folder = tmp_path_factory.mktemp("judge")
        config = tf.BertConfig(
            vocab_size=400, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
            id2label={0: "entailment", 1: "neutral"},
        )  # fmt: skip
        getattr(tf, self.kind_of_model)(config).save_pretrained(folder)
        tf.AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(folder)
        request.cls.options = {"model": str(folder)}


class TestSimilarity(Judged):
    plugin = Similarity
    kind_of_model = "BertModel"


class TestEntailment(Judged):
    plugin = Entailment
    kind_of_model = "BertForSequenceClassification"


class TestRecorded(MetricContract):
    plugin = Recorded

    def test_one_value_a_sample(self) -> None:
        values = self.measure(self.probe())
        assert values == [Undefined("recorded")] * len(values)  # another program's: nothing is measured here


class TestForgetQuality(AggregateContract):
    plugin = ForgetQuality


class TestModelUtility(AggregateContract):
    plugin = ModelUtility


class TestRelearn(AttackContract):
    plugin = Relearn
    options: ClassVar = {"k": 2, "steps": 3, "every": 2}


class TestQuantize(AttackContract):
    plugin = Quantize


class TestQuantizeAll(AttackContract):
    plugin = Quantize
    options: ClassVar = {"bits": [3], "group": 5, "embeddings": True}


class TestParaphrase(AttackContract):
    plugin = Paraphrase


class TestSampling(AttackContract):
    plugin = Sampling
    options: ClassVar = {"n": 3}


class TestUnlearningCompleteness(AggregateContract):
    plugin = UnlearningCompleteness


class TestUtility(AggregateContract):
    plugin = Utility


class OfMembers(AggregateContract):
    metrics = ("loss",)
    splits = ("forget", "holdout")
    options: ClassVar = {"score": "loss"}


class TestAUC(OfMembers):
    plugin = AUC


class TestTPR(OfMembers):
    plugin = TPR
    options: ClassVar = {"score": "loss", "fpr": 0.1}


class TestPrivacyLeakage(OfMembers):
    plugin = PrivacyLeakage


class TestMIAReference(OfMembers):
    plugin = MIAReference


def test_every_builtin_is_held_to_its_contract():
    tested = {case.plugin for case in globals().values() if isinstance(case, type) and hasattr(case, "plugin")}
    builtin = Plugins(entry_points=())
    assert tested == {builtin.resolve(kind, name) for kind in KINDS for name in builtin.offers(kind)}
