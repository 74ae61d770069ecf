"""Meta-training of few-shot networks on generated and natural episodes."""
