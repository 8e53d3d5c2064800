"""The published statements are well-formed, and a broken row is refused in one sentence."""

import csv
from collections import Counter
from dataclasses import replace

import pytest

from replication.claims import departures, inputs, statements
from replication.claims.ledger import EXPLANATIONS
from replication.claims.statements import ClaimsError
from replication.contexts import BUILT_IN
from replication.resolution import load, resolve

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


def departed(run):
    everything = run.settings("corpus", "activations", "features", "studies", models=list(run.models), dictionaries=list(run.dictionaries))
    return {row.setting: row for row in departures.table(inputs.PROJECT / "paper" / "report" / "departures.csv", everything)}


def of_config(name):
    return departed(load(inputs.PROJECT / "config" / f"{name}.yaml"))


def test_departures_are_those_of_the_run():
    laptop, published = of_config("laptop"), of_config("paper")
    assert laptop["neurons"].here == "256"
    assert "neurons" not in published
    assert {"width of the stream", "l1 coefficient", "training of a dictionary", "l1 warm-up", "resampling, within l1 warm-up"}.isdisjoint(published)
    assert "heads" in published and "copyrighted" in published["corpus"].why
    assert departures.markdown(list(laptop.values())).startswith("| setting | paper | here | why |\n| --- |")
    for row in laptop.values():
        assert row.here and row.why and "{" not in row.here
    assert laptop["corpus"].why.startswith("text that is on every machine") and laptop["replicates"].here.endswith("from 3 seeds")
    assert laptop["Adam of the dictionary"].here == "betas 0.9 and 0.999"


@pytest.mark.parametrize(("name", "within"), [("laptop", "1 of 4 times"), ("long", "2 of 4 times"), ("gpu", "4 of 4 times")])
def test_departures_count_the_resamplings_before_the_full_l1(name, within):
    assert of_config(name)["resampling, within l1 warm-up"].here == within


def test_departures_of_a_loaded_model_and_dictionary_name_nothing_that_was_not_trained_here():
    found = departed(resolve({
        "run": "loaded", "corpus": {"source": "local", "paths": ["text"], "tokenizer": "somebody/tokenizer"},
        "model": {"d_model": 512, "d_mlp": 2048, "n_heads": 8, "n_ctx": 128}, "models": {"G": {"load": "gelu-1l", "act_fn": "gelu"}},
        "activations": {"per_context": 64, "block": 64}, "dictionaries": {"G/1": {"load": "somebody/dictionary", "d_sae": 16384}},
        "studies": {"main": "G/1", "twin": "G/1"}}))
    assert found["transformer"].here == "gelu-1l, trained elsewhere" and found["dictionary"].here == "somebody/dictionary, trained elsewhere"
    assert found["tokenizer"].here == "somebody/tokenizer"
    trained = {"training of the transformer", "learning rate of the transformer", "l1 coefficient", "training of a dictionary", "geometric median", "activation vectors"}
    assert (trained | {"vocabulary", "shuffled model", "replicates"}).isdisjoint(found)
    assert not any("resampling" in setting for setting in found)


def test_departures_of_other_text_and_of_a_gpu_do_not_give_laptops_reasons():
    local, gpu = of_config("local"), of_config("gpu")
    assert local["corpus"].here == "local files" and "every machine" not in local["corpus"].why
    assert not any("two cores" in row.why for row in (*local.values(), *gpu.values()))
    assert "width of the stream" not in gpu and gpu["shuffled model"].here
    questions = of_config("questions")
    assert questions["contexts"].here == "base64, hex, latex" and "shuffled model" not in questions


def test_a_row_without_replicates_or_tokenizer_of_its_own_is_left_out():
    run = load(inputs.PROJECT / "config" / "laptop.yaml")
    alone = replace(run, dictionaries={name: sae for name, sae in run.dictionaries.items() if "-r" not in name}, corpus=replace(run.corpus, tokenizer="gpt2"))
    assert {"replicates", "vocabulary"} <= set(departed(run))
    assert {"replicates", "vocabulary"}.isdisjoint(departed(alone))


def test_an_unknown_condition_of_a_departure_is_refused(settings):
    with pytest.raises(ClaimsError, match=r"'instaled' in its column applies; did you mean 'installed'"):
        departures.applies(settings, "instaled")


def test_a_departure_of_an_unknown_setting_is_refused(settings):
    with pytest.raises(ClaimsError, match=r"'sae\.momentum'"):
        departures.setting(settings, "sae.momentum")


def test_explanations_have_their_columns():
    assert all(row["looked_at"] and row["on"] for row in statements.read_rows(inputs.PROJECT / "paper" / "report" / "explanations.csv", EXPLANATIONS))
