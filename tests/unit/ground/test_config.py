"""A config is right, or it is refused in one sentence that names the key, the value and the remedy."""

from pathlib import Path

import pytest
import yaml

from replication.config import SITES, ConfigError, Model, Settings, d_in, place, sites
from replication.features import shown, without_dictionaries
from replication.resolution import explain, load, resolve

CONFIGS = sorted((Path(__file__).parents[3] / "config").glob("*.yaml"))


def smoke(**changes):
    raw = yaml.safe_load((Path(__file__).parents[3] / "config" / "smoke.yaml").read_text())
    for path, value in changes.items():
        place = raw
        *parents, last = path.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return raw


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_projects_own_configs_are_right_and_named_after_their_file(path):
    config = load(path)
    assert config.run == path.stem
    assert {config.studies.main, config.studies.twin} <= set(config.dictionaries)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"modles": {}}, "modles is not a section of the config; did you mean 'models'?"),
    ({"sae__l1_coeficient": 1}, "dictionaries.A/0.l1_coeficient is not a setting; "),
    ({"sae__l_1": 1}, "dictionaries.A/0.l_1 is not a setting; did you mean 'l1'?"),
    ({"corpus__max_bytes": "many"}, "corpus.max_bytes is 'many', but must be a whole number"),
    ({"corpus__max_bytes": 1.5}, "corpus.max_bytes is 1.5, but must be a whole number"),
    ({"corpus__max_bytes": True}, "corpus.max_bytes is True, but must be a whole number"),
    ({"sae__l1": -1}, "dictionaries.A/0.l1 is -1.0, but must be at least 0"),
    ({"sae__l1": float("nan")}, "dictionaries.A/0.l1 is nan, but must be a finite number"),
    ({"sae__l1": float("inf")}, "dictionaries.A/0.l1 is inf, but must be a finite number"),
    ({"models": {"A": {}, False: {}}}, "models lists False, which YAML does not read as a text; put the name in quotes"),
    ({"models": {"A": {"replicates": 2}, "A-r1": {}}}, "models has two entries A-r1, one of which is a replicate"),
    ({"models": {"A-r1": {}, "A": {"replicates": 2}}}, "models has two entries A-r1, one of which is a replicate"),
    ({"models": {"A": {"seed": 998, "replicates": 3}}}, "models.A: replicates take the seeds 998 to 1000, but a seed is at most 999"),
    ({"models": {"A": {"d_mlp": 16}, "random": {"shuffle_of": "A"}}}, "models.random.d_mlp is 64, but it shuffles A, whose d_mlp is 16; give both the same"),
    ({"sae__lr": 0}, "dictionaries.A/0.lr is 0.0, but must be above 0"),
    ({"dictionaries": {"A/1": {"d_sae": 0}}}, "dictionaries.A/1.d_sae is 0, but must be at least 1"),
    ({"dictionaries": {"A/1": {}}}, "dictionaries.A/1.d_sae is missing: Features."),
    ({"dictionaries": {"C/1": {"d_sae": 4}}}, "dictionaries.C/1 belongs to model 'C', which models does not list; allowed: A, B, mlp_0, mlp_64, random"),
    ({"dictionaries": {"A": {"d_sae": 4}}}, "dictionaries.A: a name is model/id, such as A/1"),
    ({"dictionaries": {"A/L1": {"d_sae": 4}}}, "dictionaries.A/L1: a name is model/id"),
    ({"dictionaries": {}}, "dictionaries is empty"),
    ({"models": {"A": {"shuffle_of": "Z"}}}, "models lists no trained model"),
    ({"models": {"A": {}, "random": {"shuffle_of": "a"}}}, "models.random.shuffle_of is 'a', not a trained model; "),
    ({"models": {"A": {}, "B": {"n_ctx": 32}}}, "models differ in n_ctx"),
    ({"models": {"A": {}, "texts": {}}}, "models.texts: the feature browser needs this name for itself"),
    ({"browser": {"tables": ["A/9"]}}, "browser.tables names 'A/9', which is no dictionary of the run and no model's neurons"),
    ({"model__n_heads": 5}, "models.A.n_heads is 5, but must divide d_model, 32"),
    ({"model__act_fn": "rellu"}, "models.A.act_fn is 'rellu'; did you mean 'relu'?"),
    ({"dictionaries": {"A/mlp_out": {"d_sae": 4}}}, "dictionaries.A/mlp_out: a name is model/id, such as A/1, and an id is made of a-z, 0-9, _ and - (neurons and names of sites"),
    ({"models__two": {"n_layers": 2}, "dictionaries__two/1": {"d_sae": 4}}, "dictionaries.two/1.site is 'mlp_act', which models.two has not; did you mean 'mlp_act_"),
    ({"models__two": {"n_layers": 2}, "dictionaries__two/1": {"d_sae": 4, "site": "logit_update_0"}}, "dictionaries.two/1.site is 'logit_update_0', which models.two has not"),
    ({"dictionaries__A/0__warm_start": "A/7"}, "dictionaries.A/0.warm_start is 'A/7', which dictionaries does not list; "),
    ({"dictionaries__A/0__warm_start": "A/1"}, "dictionaries.A/0.warm_start is 'A/1', whose d_in or d_sae is another; take one of the same shape"),
    ({"dictionaries__A/1__warm_start": "B/1", "dictionaries__B/1__warm_start": "A/1"}, "dictionaries.A/1.warm_start leads back to A/1; one of the chain needs a start"),
    ({"sae__watch_vectors": 65536}, "dictionaries.A/0.watch_vectors asks for the last 65536 of 393216 vectors, but training sees 393216; lower one"),
    ({"sae__site": "mlp_acts"}, "dictionaries.A/0.site is 'mlp_acts', which models.A has not; did you mean 'mlp_act'?"),
    ({"activations__per_context": 100}, "activations.per_context is 100, but a context of models.A has n_ctx 64 tokens"),
    ({"activations__per_context": 33}, "activations.block is 65536, but must be a multiple of per_context, 33"),
    ({"sae__batch": 3000}, "dictionaries.A/0.batch is 3000, but must divide activations.block, 65536"),
    ({"sae__vectors": 10**7}, "dictionaries.A/0.vectors is 10000000, but activations.vectors gives only 393216, and none is seen twice"),
    ({"sae__vectors": 10**6, "sae__repeats": 2}, "gives only 393216, and none is seen more than 2 times"),
    ({"sae__per_context": 16}, "dictionaries.A/0.vectors is 393216, but activations.vectors gives only 196608 at per_context 16, and none is seen twice"),
    ({"sae__per_context": 33}, "dictionaries.A/0.per_context is 33, but activations.per_context samples only 32 tokens of a context"),
    ({"sae__batch": 4096, "sae__per_context": 1}, "dictionaries.A/0.batch is 4096, but must divide activations.block, 2048 at per_context 1"),
    ({"sae__tied": "no"}, "dictionaries.A/0.tied is 'no', but must be true or false"),
    ({"sae__resampling": "none"}, "dictionaries.A/0.resampling is 'none'; "),
    ({"models__A": {"d_mlp": 0}, "models__random": {"shuffle_of": "A", "d_mlp": 0}}, "dictionaries.A/0 decomposes the neurons of models.A, whose d_mlp is 0; raise it"),
    ({"sae__min_window": 100_000}, "the last of 4 resamplings would fall at step 196 of 192, after 70 % of the run"),
    ({"corpus__source": "hub"}, "corpus.name is missing: source 'hub' needs the name of a dataset"),
    ({"corpus__source": "local"}, "corpus.paths is missing: source 'local' needs files or folders"),
    ({"corpus__source": "huub"}, "corpus.source is 'huub'; did you mean 'hub'?"),
    ({"corpus__paths": "a.txt"}, "corpus.paths is 'a.txt', but must be a list of texts"),
    ({"run": "My Run"}, "run is 'My Run', but must be made of a-z"),
    ({"compute__device": "gpu"}, "compute.device is 'gpu'; did you mean 'cpu'?"),
    ({"studies__main": "A/7"}, "studies.main is 'A/7', which dictionaries does not list"),
    ({"dictionaries__A/1__site": "logit_update"}, "studies.main names A/1, whose site is logit_update, but ablation is exact only for mlp_act, mlp_out, resid_post"),
    ({"dictionaries__B/1__site": "resid_mid"}, "studies.twin names B/1, whose site is resid_mid, but ablation is exact only for"),
    ({"dictionaries__A/base__site": "logit_update", "browser__tables": ["A/1", "A/base"]}, "browser.tables names A/base, whose site is logit_update, but"),
    ({"models": {"A": {"n_layers": 2}, "B": {}}, "dictionaries": {"A/1": {"d_sae": 512, "site": "mlp_act_0"}, "B/1": {"d_sae": 512}}},
     "studies.main names A/1, whose site is mlp_act_0, but ablation is exact only for mlp_act, mlp_out, resid_post of the last layer; name a dictionary"),
    ({"model": 3}, "model must be a mapping of settings, but is 3"),
    ({"models__A": {"replicates": 2}}, "models.B would be models.A-r1 once more: its settings and its seed, 1, are the same; give it another seed"),
    ({"models__A": {"tokens": 0}}, "models.A.tokens is 0, but a model that is trained sees some"),
    ({"sae__vectors": 0}, "dictionaries.A/0.vectors is 0, less than one batch of 2048"),
    ({"models__G": {"load": "gelu-1l", "lr": 0.1}}, "models.G.lr means nothing, because models.G is loaded, not trained; it can have load, d_model, d_mlp"),
    ({"models__G": {"load": "gelu-1l", "shuffle_of": "A"}}, "models.G.shuffle_of means nothing, because models.G is loaded"),
    ({"models__G": {"load": "gelu-1l", "n_ctx": 32}}, "models differ in n_ctx"),
    ({"dictionaries__A/mine": {"load": "x", "d_sae": 8, "replicates": 2}}, "dictionaries.A/mine.replicates means nothing, because dictionaries.A/mine is loaded"),
    ({"dictionaries__A/mine": {"load": "x"}}, "dictionaries.A/mine.d_sae is missing: Features."),
    ({"dictionaries__A/mine": {"load": "x", "d_sae": 8, "site": "hook_post"}}, "dictionaries.A/mine.site is 'hook_post', which models.A has not"),
])
def test_bad_input_gets_one_sentence(changes, sentence):
    with pytest.raises(ConfigError) as refused:
        resolve(smoke(**changes))
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_are_no_config(tmp_path):
    with pytest.raises(ConfigError, match="does not exist; the configs that come with the project are in config/"):
        load(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="is not a mapping of sections"):
        load(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match="is not a YAML file") as refused:
        load(tmp_path / "broken.yaml")
    assert "\n" not in str(refused.value)


def test_replicates_become_dictionaries_that_differ_in_seed_only():
    config = resolve(smoke(dictionaries={"A/1": {"d_sae": 4, "replicates": 3, "seed": 5}, "B/1": {"d_sae": 4}}))
    assert [(name, sae.seed) for name, sae in config.dictionaries.items()] == [("A/1", 5), ("A/1-r1", 6), ("A/1-r2", 7), ("B/1", 0)]


def test_models_have_replicates_too():
    config = resolve(smoke(models={"A": {}, "B": {"seed": 1}, "random": {"shuffle_of": "A"}, "mlp_0": {"d_mlp": 0, "seed": 2, "replicates": 2}}))
    assert [(name, model.seed) for name, model in config.models.items()] == [("A", 0), ("B", 1), ("random", 0), ("mlp_0", 2), ("mlp_0-r1", 3)]


def test_a_replicate_starts_from_the_replicate_of_its_number():
    config = resolve(smoke(**{"dictionaries__A/warm": {"d_sae": 512, "replicates": 3, "warm_start": "A/1"}, "dictionaries__A/lone": {"d_sae": 512, "replicates": 2, "warm_start": "B/1"}}))
    assert [config.dictionaries[f"A/warm{suffix}"].warm_start for suffix in ("", "-r1", "-r2")] == ["A/1", "A/1-r1", "A/1-r2"]
    assert config.dictionaries["A/lone-r1"].warm_start == "B/1"


def test_shared_vectors_are_stored_where_several_dictionaries_read_them():
    run = resolve(smoke(**{"activations__storage": "shared", "dictionaries__A/out": {"d_sae": 512, "site": "mlp_out"}}))
    decided = {site: run.settings("compute", site=site).activations.storage for site in ("A/mlp_act", "A/mlp_out", "B/mlp_act")}
    assert decided == {"A/mlp_act": "stored", "A/mlp_out": "streamed", "B/mlp_act": "streamed"}
    as_it_says = resolve(smoke())
    assert as_it_says.activations_of("B/mlp_act") == as_it_says.activations


def test_what_is_loaded_takes_its_shape_from_the_sections_for_all_and_nothing_of_the_training():
    given = smoke(**{"models__G": {"load": "gelu-1l", "tokens": 22}, "models__copy": {"shuffle_of": "G"}, "dictionaries__G/1": {"load": "someone/weights:a", "d_sae": 8}})
    config = resolve(given)
    model, sae = config.models["G"], config.dictionaries["G/1"]
    assert (model.d_mlp, model.n_ctx, model.tokens, model.lr) == (64, 64, 22, Model.lr)
    assert (sae.vectors, sae.l1, sae.batch, sae.resamplings, sae.site) == (0, 0, 1, 0, "mlp_act")
    assert config.loaded("models") == ["G"] and config.loaded("dictionaries") == ["G/1"] and "G" not in config.trained_models() and "copy" not in config.trained_models()
    settings = config.settings(model="G", dictionary="G/1")
    assert Settings.parse(settings.json()) == settings
    assert resolve(smoke(models={"G": {"load": "x"}}, dictionaries={"G/1": {"load": "x", "d_sae": 4}}, studies={"main": "G/1", "twin": "G/1"})).trained_models() == []


def test_sites_of_models_with_one_layer_and_more():
    assert sites() == list(SITES) and place("mlp_out") == ("mlp_out", 0)
    assert sites(2) == ["resid_mid_0", "mlp_act_0", "mlp_out_0", "resid_post_0", "resid_mid_1", "mlp_act_1", "mlp_out_1", "resid_post_1", "logit_update_1"]
    assert place("resid_post_1", 2) == ("resid_post", 1)
    assert d_in(Model(d_model=8, d_mlp=32, n_layers=2), "mlp_act_0") == 32 and d_in(Model(d_model=8, d_mlp=32), "logit_update") == 8


def test_models_without_a_dictionary_are_measured_at_the_main_ones_site_if_they_have_it():
    raw = smoke()
    raw["models"]["two"] = {"n_layers": 2}
    assert without_dictionaries(resolve(raw)) == ["mlp_0/mlp_act", "mlp_64/mlp_act"]


def test_what_can_be_removed_exactly_stands_for_the_papers_dictionaries():
    layers = {"models": {"A": {"n_layers": 2}, "B": {}}, "dictionaries": {"A/1": {"d_sae": 512, "site": "mlp_act_1"}, "B/1": {"d_sae": 512, "site": "mlp_out"}}}
    assert resolve(smoke(**layers, browser__tables=["A/1", "A/neurons"])).studies.main == "A/1"
    config = resolve(smoke(**{"dictionaries__A/0__site": "logit_update"}))
    assert "A/0" not in shown(config) and "A/0" in shown(resolve(smoke())) and "A/neurons" in shown(config)


def test_large_dictionaries_are_those_with_more_features_than_the_main_one():
    config = resolve(smoke(dictionaries={"A/2": {"d_sae": 16}, "A/1": {"d_sae": 4}, "A/0": {"d_sae": 2}, "B/1": {"d_sae": 4}}))
    assert config.ids(large=True) == ["2"] and config.ids(large=False) == ["0", "1"]
    assert resolve(smoke()).ids(large=True) == []


def test_yamls_spelling_of_small_numbers_is_read():
    assert resolve(smoke(sae__lr="1e-3")).dictionaries["A/1"].lr == 1e-3


def test_settings_go_through_json_and_back():
    config = resolve(smoke())
    settings = config.settings("compute", "activations", model="A", dictionary="A/1")
    assert Settings.parse(settings.json()) == settings
    assert settings.corpus is None and settings.sae.d_sae == 512


def test_a_slice_knows_nothing_of_what_it_did_not_ask_for():
    before, after = resolve(smoke()), resolve(smoke(corpus__max_bytes=123_456))
    assert before.settings("compute", model="A").json() == after.settings("compute", model="A").json()
    assert before.settings("corpus").json() != after.settings("corpus").json()
    assert before.hash() != after.hash()


def test_a_slice_without_some_settings_changes_with_the_others_only():
    def collected(**changed):
        return resolve(smoke(**changed)).settings("corpus").without("corpus", "tokenizer", "d_vocab")

    before, after = collected(), collected(corpus__d_vocab=300, corpus__tokenizer="gpt2")
    assert before.json() == after.json() and before.hash() == after.hash()
    assert before.json() != collected(corpus__holdout=0.3).json()
    with pytest.raises(AssertionError, match="studies has not all of max_bytes"):
        resolve(smoke()).settings("studies").without("studies", "max_bytes")


def test_where_it_runs_changes_no_hash():
    assert resolve(smoke(compute__threads=2)).hash() == resolve(smoke()).hash()
    assert resolve(smoke(compute__threads=2)).settings("compute", model="A").hash() == resolve(smoke()).settings("compute", model="A").hash()


@pytest.mark.parametrize("text", ["{", "3", '{"run": "x"}', '{"run": "x", "seed": 0, "sae": {"d_sea": 3}}'])
def test_broken_settings_are_refused(text):
    with pytest.raises(ConfigError):
        Settings.parse(text)


def test_explain_names_every_setting_with_a_sentence():
    text = explain()
    for word in ("max_bytes", "l1_warmup", "per_context", "shuffle_of", "min_window", "device", "threshold"):
        assert f"\n  {word} (" in text
