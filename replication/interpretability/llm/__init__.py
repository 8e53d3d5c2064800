"""The explainer that asks a language model: any endpoint that speaks OpenAI's chat completions, with every reply kept.

Endpoint, model and key are `OPENAI_BASE_URL`, `OPENAI_MODEL` and `OPENAI_API_KEY`. Replies lie in a content-addressed
cache, from which scores are made again without a key. Needs the extra `llm` only to ask. Source: paper, appendix
"Automated interpretability"; prompts and demonstrations are ours.
"""

from replication.interpretability.llm.explainer import Description as Description
from replication.interpretability.llm.explainer import LanguageModel as LanguageModel
from replication.interpretability.llm.explainer import make as make
