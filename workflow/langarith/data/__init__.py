"""Raw text, token streams, the hub, relatedness of languages, the synthetic miniature."""
