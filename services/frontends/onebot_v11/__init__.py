"""OneBot V11 (https://github.com/botuniverse/onebot-11): pure translation and its transports."""
