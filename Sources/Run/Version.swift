/// The version of pggraft, as `pggraft --version` says it and journals keep it.
public let pggraftVersion = "0.2.0"
