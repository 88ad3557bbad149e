"""润心网关 SDK: how a departmental system uses the gateway."""
