"""Parts that several tests share: a scripted tool caller, scripted MCP servers, small manifests."""
