package datatree

// Recompute takes the digest of a view from what it shows.
var Recompute = recompute
