// The files of the browser's data, version 1. Each is a classic script that calls `shard(path, value)`; its path is data/<path>.js.
// Strings are JSON with every character outside of ASCII, and <, > and &, escaped. `Base64` holds little-endian numbers.

type Base64 = string;
type TokenId = number;
type Group = number; // 0 top; 1 to 11 intervals, from strong to weak; 12 bottom

/** run.js beside the page: `shard("run", ...)`. */
interface Run {
  version: 1;
  run: string;
  facts: Record<string, string>;
  links: [label: string, address: string][];
  dictionaries: Dictionary[];
  tables: TableEntry[];
  vocabulary: { size: number; bytes: 2 | 4; shards: number; perShard: number }; // bytes of a token id wherever one is packed
  contexts: { count: number; n_ctx: number; perShard: number } | null; // shards `contexts/<k>`
  texts: { id: string; title: string }[]; // shards `texts/<id>`
}

/** A row of the run index; null where it was not measured. */
interface Dictionary {
  name: string; // "A/1"
  table: boolean; // whether it has cards
  d_sae: number;
  l1: number | null; // mean convention: squared error averaged over elements
  l1_summed: number | null; // l1 * d_in: squared error summed
  l0: number | null;
  recovered: number | null;
  dead: number | null;
  ultralow: number | null;
  seed: number | null;
  commit: string | null;
  config: string | null; // hash of the settings
  vectors: number | null;
  shuffled: boolean;
}

/** What is known of a table before its index is loaded. */
interface TableEntry {
  name: string; // "A/1", "A/neurons"
  kind: "features" | "neurons";
  features: number;
  cards: number[]; // first feature of each shard `<name>/cards/<k>`
  windows: number[]; // first feature of each shard `<name>/windows/<k>`
  fires: number[]; // smallest token of each shard `<name>/fires/<k>`
  promotes: number[]; // smallest token of each shard `<name>/promotes/<k>`
  explanations: number; // shards `<name>/explanations/<k>`
  predictions: number[]; // first feature of each shard `<name>/predictions/<k>`
  texts: string[]; // fixed texts with firings: shards `<name>/texts/<id>`
  strongest: number | null; // features that these keep of each token, the strongest ones; null where they keep all
  scored: boolean; // whether any feature has a score
  universal: boolean; // whether any feature has a match
  mapped: boolean; // whether any feature has a place on the map
}

/** `vocabulary/<k>`: the texts of tokens perShard*k and following. */
type VocabularyShard = string[];

/** `contexts/<k>`: tokens of the contexts perShard*k and following, n_ctx each. */
type ContextsShard = Base64;

/** `<table>/index`: columns by feature; part is 0 dead, 1 ultralow, 2 other; fires and up hold three tokens a feature, and the largest id where there is none. */
interface IndexShard {
  density: Base64; max: Base64; bias: Base64; spearman: Base64; logit_score: Base64; universality: Base64; x: Base64; y: Base64; // float32, NaN where unknown
  cluster: Base64; // int16, -1 where unknown
  part: Base64; single_token: Base64; // uint8
  fires: Base64; up: Base64; // token ids
}

/** `<table>/cards/<k>`: features in order. */
type CardsShard = Card[];
type Example = [
  group: Group, context: number, pos: number, repeated: 0 | 1, start: number, tokens: TokenId[],
  fired: number[], // place, activation, place, activation, ...; places count from the example's own token
  effects: number[], // place, effect of ablation on the token there in nats, ...
];
interface Histogram { counts: number[]; edges: number[] }
type RelationKind = "weight" | "neuron" | "match" | "parent" | "child" | "decoder" | "matched_by";
type Relation = [kind: RelationKind, table: string, feature: number, value: number, second: number | null];
interface Explanation {
  explainer: string; text: string; error: string;
  spearman: number | null; pearson: number | null; logits: number | null; control: number | null; intervals: (number | null)[];
}
interface Card {
  feature: number;
  activations: Histogram | null;
  logits: Histogram | null;
  up: [TokenId, number][];
  down: [TokenId, number][];
  examples: Example[];
  relations: Relation[];
  explanations: Explanation[];
  contexts: [label: string, correlation: number][];
  texts: [id: string, largest: number][];
}

/** `<table>/windows/<k>`: the distinct windows of the features from `first` on as token ids; `vocabulary.size` ends a window, `vocabulary.size + 1` a feature. */
interface WindowsShard { first: number; tokens: Base64 }

/** `<table>/fires/<k>` and `<table>/promotes/<k>`: for some tokens in ascending order, features by falling size of their strength, at most 10,000 of a token. Entries of tokens[i]
 *  are offsets[i] to offsets[i + 1]. Strength: largest activation on the token as a share of the feature's largest in its examples (fires), logit weight (promotes;
 *  below 0 where it lowers). */
interface PostingsShard { tokens: Base64 /* uint32 */; offsets: Base64 /* uint32 */; features: Base64 /* uint32 */; strengths: Base64 /* float32 */ }

/** `<table>/explanations/<k>` */
type ExplanationsShard = [feature: number, explainer: string, text: string][];

/** `<table>/predictions/<k>` */
type PredictionsShard = { feature: number; windows: [group: string, start: number, tokens: TokenId[], levels: number[], predicted: Record<string, number[]>][] }[];

/** `texts/<id>` */
interface TextShard { id: string; title: string; tokens: TokenId[] }

/** `<table>/texts/<id>`: pos, feature, activation, effect of ablation on the next token (null at the end), ...; by pos, strong ones first. */
type TextFirings = (number | null)[];

/** The decoded index of a table. */
interface Index {
  entry: TableEntry;
  density: Float32Array; max: Float32Array; bias: Float32Array; spearman: Float32Array; logit_score: Float32Array; universality: Float32Array;
  x: Float32Array; y: Float32Array; cluster: Int16Array; part: Uint8Array; single_token: Uint8Array;
  fires: Uint16Array | Uint32Array; up: Uint16Array | Uint32Array;
}

type Order = "index" | "random" | "max" | "density" | "hits" | "score" | "logit_score" | "universality";
type Mode = "text" | "token" | "explanation";
type TextOrder = "activation" | "effect" | "share";
type Panel = "" | "density" | "map";

/** Everything that a link holds. Defaults are left out of it. */
interface Route {
  page: "run" | "table" | "text";
  table: string; // "" on the run index
  feature: number | null; // the card; in the text view the feature that the text is shaded by
  text: string; // id of a fixed text
  token: number | null; // its chosen token
  by: TextOrder; // how the features of a text are ordered
  order: Order;
  descending: boolean;
  seed: number; // of the random order
  query: string;
  mode: Mode;
  regex: boolean;
  caseSensitive: boolean;
  aspect: "fires" | "promotes" | "suppresses"; // of a token search
  parts: string; // letters of d, u, o: which parts are listed
  single: "" | "yes" | "no";
  density: [low: number | null, high: number | null];
  score: [low: number | null, high: number | null];
  cluster: number | null;
  panel: Panel; // which scatter is open
  select: [x0: number, y0: number, x1: number, y1: number] | null; // region selected on it
  scroll: number; // first row of the list that is in sight
}

interface Window { shard: (path: string, value: unknown) => void }
declare const WORKER: string; // the source of worker.js, put in by the build

/** What every part of the page is given. */
interface Page {
  run: Run;
  vocabulary: string[];
  route: Route; // the current one
  /** The index of a table, loaded once. */
  index: (table: string) => Promise<Index>;
  /** Go to a link: a new entry in the history, or in place of the current one. */
  go: (change: Partial<Route>, how?: "push" | "replace") => void;
}
