"""Text to tokens: documents, tokenizer, contexts of tokens, unigram counts, and a held-out split by document."""
