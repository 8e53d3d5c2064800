"""The published statements are well-formed, and a broken row is refused in one sentence."""

import csv
from collections import Counter

import pytest

from replication.claims import departures, inputs, statements
from replication.claims.ledger import EXPLANATIONS
from replication.claims.statements import ClaimsError
from replication.contexts import BUILT_IN
from replication.resolution import load

PUBLISHED = inputs.PROJECT / "paper" / "published"
CLAIMS = statements.read(PUBLISHED / "claims.csv")
NUMBERS = {
    "live_features": "dead ultralow other growth_0_1 growth_1_2 features_per_neuron",
    "density_histograms": "median_density q05 q25 q75 q95 share_above_1_percent q05_fall_0_1 q05_fall_1_2",
    "ultralow_cluster": "separation_auc density_auc auc_gain lower_share separation moved_share",
    "loss_recovered": "recovered_A_0 recovered_A_1 recovered_A_2 recovered_A_5 l0_A_1 growth_0_1 growth_1_2 l1_fall main_recovered",
    "tradeoff": "monotone_l1 l0_monotone", "training_curves": "spike_at_resampling l0_final dead_final",
    "universality_histogram": "feature_median neuron_median feature_to_own_neuron_median features_minus_neurons features_minus_own_neurons",
    "neuron_basis": "share_one_neuron share_two_to_ten share_dense cosine_median lower_encoder_cosine lower_decoder_cosine "
                    "kurtosis_median top_weight_median above_half"}
CONTEXTS = [f"{kind}_{context}" for context in BUILT_IN
            for kind in ("activation_spectrum", "sensitivity", "logit_weights", "ablation", "pinned", "not_a_neuron", "universality")]
EXHIBITS = [
    "setup_table", "text_view", "one_neuron_toy", *CONTEXTS, "disagreement_dna", "live_features", "rubric_scores", "autointerp_activations",
    "autointerp_logits", "interval_consistency", "interval_mass", "loss_recovered", "baselines", "small_mlp_baseline", "random_transformer",
    "downstream_sample", "feature_umap", "splitting_graph", "token_features", "base64_split", "universality_histogram", "similarity_scatter",
    "known_features", "automata", "density_histograms", "ultralow_cluster", "tradeoff", "recipe_ablations", "autointerp_appendix",
    "neuron_basis", "training_curves"]
READERS = {"sites", "logit_target", "ultralow_dynamics", "null_space", "dictionary_slices", "interpretability_tax", "dictionary_similarity", "context_dependence",
           "upstream_causes", "feature_growth"}


def test_every_exhibit_has_its_statements():
    assert {claim.row["exhibit"] for claim in CLAIMS} == set(EXHIBITS) | READERS


def test_the_numbers_of_the_written_studies_are_spelled_as_the_studies_spell_them():
    for claim in CLAIMS:
        if claim.study in NUMBERS:
            assert claim.key in NUMBERS[claim.study].split(), claim.id


def test_rows_come_in_the_papers_order():
    sections = [claim.row["section"] for claim in CLAIMS]
    assert list(dict.fromkeys(sections)) == ["Problem setup", "Detailed investigations", "Global analysis", "Phenomenology", "Appendices",
                                            "Readers' questions"]
    assert sections == sorted(sections, key=list(dict.fromkeys(sections)).index)


def test_orderings_are_judged_at_every_scale_and_numbers_say_why_their_tolerance():
    for claim in CLAIMS:
        assert len(claim.row["tolerance_why"]) > 3
        if claim.kind == "ordering":
            assert not claim.needs, claim.id
            assert "95 % interval" in claim.row["tolerance_why"], claim.id


def test_one_number_has_one_unit():
    units = {}
    for claim in CLAIMS:
        assert units.setdefault(claim.number, claim.unit) == claim.unit, claim.number


def test_an_ordering_between_seeds_needs_three_replicates():
    for claim in CLAIMS:
        if "at least three seeds" in claim.row["tolerance_why"]:
            assert claim.replicates == 3, claim.id


def test_the_papers_headline_numbers_are_here():
    found = {(claim.number, claim.row["source"]): claim.published for claim in CLAIMS}
    assert found["live_features.dead", "paper"] == 168
    assert found["live_features.ultralow", "paper"] == 292
    assert found["loss_recovered.recovered_A_1", "paper"] == 0.79
    assert found["loss_recovered.recovered_A_5", "paper"] == 0.945
    assert found["universality_histogram.feature_median", "paper"] == 0.72
    assert found["universality_histogram.neuron_median", "paper"] == 0.46
    assert found["rubric_scores.feature_median", "paper"] == 12
    assert found["autointerp_logits.feature_mean", "paper"] == 0.74


def test_ids_are_unique(tmp_path, row):
    assert max(Counter(claim.id for claim in CLAIMS).values()) == 1
    path = tmp_path / "claims.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, statements.COLUMNS)
        writer.writeheader()
        writer.writerows([row, row])
    with pytest.raises(ClaimsError, match=r"two rows of .* have the id 'x-y'"):
        statements.read(path)


@pytest.mark.parametrize(("change", "message"), [
    ({"id": "Not A Slug"}, "an id is made of"), ({"statement": " "}, "statement is empty"), ({"tolerance_why": ""}, "tolerance_why is empty"),
    ({"kind": "guess"}, "must be number or ordering"), ({"kind": "ordering"}, "an ordering has no published value"), ({"published": ""}, "published is ''"),
    ({"published": "many"}, "published is 'many'"), ({"published": "nan"}, "published is 'nan'"), ({"tolerance": "-1"}, "must not be negative"),
    ({"tolerance": ""}, "tolerance is ''"), ({"number": "dead"}, "must be study.key"), ({"replicates": "2"}, "must be 3 where training varies"),
    ({"needs": "vectors"}, "must be like vectors>=8e9"), ({"needs": "money>=1"}, "must be like vectors>=8e9"),
    ({"needs": "vectors>=lots"}, "needs, vectors is 'lots'")])
def test_a_broken_row_is_refused_in_one_sentence_that_names_it(row, change, message):
    with pytest.raises(ClaimsError, match=message) as caught:
        statements.parse(row | change)
    assert str(caught.value).startswith(f"claim {change.get('id', 'x-y')!r}:" if "id" in change else "claim x-y: ")
    assert "\n" not in str(caught.value)


def test_a_broken_file_is_refused(tmp_path, row):
    path = tmp_path / "claims.csv"
    with pytest.raises(ClaimsError, match="is missing"):
        statements.read(path)
    path.write_text("id,statement\nx,y\n")
    with pytest.raises(ClaimsError, match="has the columns id, statement, but needs id, section"):
        statements.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ClaimsError, match="not a csv in UTF-8"):
        statements.read(path)
    path.write_text(",".join(statements.COLUMNS) + "\n" + ",".join(row.values()) + ",one too many\n")
    with pytest.raises(ClaimsError, match=r"row 2: needs 14 cells"):
        statements.read(path)


def test_the_densities_add_up_to_the_features():
    with (PUBLISHED / "distributions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    bins = [row for row in rows if row["distribution"] == "density" and row["kind"] == "bin"]
    assert sum(int(row["value"]) for row in bins) == 3927
    assert [float(row["high"]) for row in bins[:-1]] == [float(row["low"]) for row in bins[1:]]
    assert all(row["source"] for row in rows)


def test_departures_are_those_of_the_run():
    path = inputs.PROJECT / "paper" / "report" / "departures.csv"
    here = {}
    for name in ("laptop", "paper"):
        run = load(inputs.PROJECT / "config" / f"{name}.yaml")
        everything = run.settings("corpus", "activations", "features", "studies", models=list(run.models), dictionaries=list(run.dictionaries))
        here[name] = {row.setting: row for row in departures.table(path, everything)}
    assert here["laptop"]["neurons"].here == "256"
    assert "neurons" not in here["paper"]
    assert {"width of the stream", "l1 coefficient", "training of a dictionary"}.isdisjoint(here["paper"])
    assert "heads" in here["paper"]
    assert departures.markdown(list(here["laptop"].values())).startswith("| setting | paper | here | why |\n| --- |")
    for row in here["laptop"].values():
        assert row.here and row.why and "{}" not in row.here


def test_a_departure_of_an_unknown_setting_is_refused(settings):
    with pytest.raises(ClaimsError, match=r"'sae\.momentum'"):
        departures.setting(settings, "sae.momentum")


def test_explanations_have_their_columns():
    assert all(row["looked_at"] for row in statements.read_rows(inputs.PROJECT / "paper" / "report" / "explanations.csv", EXPLANATIONS))
