// Package tools is nothing but a module: its go.mod pins the programs that the
// gate runs and kring's own go.mod must not name, so that whoever embeds kring
// gets none of their requirements.
package tools
