// Verify a copy of the audit log with Go's own sumdb/tlog and sumdb/note: verify <folder> [<entry> <tlog-proof>].
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type folder string

func (f folder) Height() int                         { return 8 }
func (f folder) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(tiles))
	for n, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(string(f), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		all[n] = data
	}
	return all, nil
}

func must(err error) {
	if err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
}

func opened(data []byte, vkeys string) tlog.Tree {
	verifier, err := note.NewVerifier(strings.Split(vkeys, "\n")[0])
	must(err)
	signed, err := note.Open(data, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(signed.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	hash, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: hash}
}

func main() {
	dir := folder(os.Args[1])
	data, err := os.ReadFile(filepath.Join(string(dir), "checkpoint"))
	must(err)
	vkeys, err := os.ReadFile(filepath.Join(string(dir), "vkeys"))
	must(err)
	tree := opened(data, string(vkeys))
	reader := tlog.TileHashReader(tree, dir)
	root, err := tlog.TreeHash(tree.N, reader)
	must(err)
	if root != tree.Hash {
		must(fmt.Errorf("root"))
	}
	for start := int64(0); start < tree.N; start += 256 {
		width := tree.N - start
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: 8, L: 0, N: start / 256, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bundle, err := os.ReadFile(filepath.Join(string(dir), path))
		must(err)
		indexes := make([]int64, width)
		for n := range indexes {
			indexes[n] = tlog.StoredHashIndex(0, start+int64(n))
		}
		hashes, err := reader.ReadHashes(indexes)
		must(err)
		for n := range hashes {
			length := int(binary.BigEndian.Uint16(bundle))
			if tlog.RecordHash(bundle[2:2+length]) != hashes[n] {
				must(fmt.Errorf("entry %d", start+int64(n)))
			}
			bundle = bundle[2+length:]
		}
		if len(bundle) != 0 {
			must(fmt.Errorf("bundle %s", path))
		}
	}
	if len(os.Args) == 4 {
		entry, err := os.ReadFile(os.Args[2])
		must(err)
		text, err := os.ReadFile(os.Args[3])
		must(err)
		head, checkpoint, _ := strings.Cut(string(text), "\n\n")
		lines := strings.Split(head, "\n")
		index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
		must(err)
		var proof tlog.RecordProof
		for _, line := range lines[2:] {
			var hash tlog.Hash
			step, err := base64.StdEncoding.DecodeString(line)
			must(err)
			copy(hash[:], step)
			proof = append(proof, hash)
		}
		claimed := opened([]byte(checkpoint), string(vkeys))
		must(tlog.CheckRecord(proof, claimed.N, claimed.Hash, index, tlog.RecordHash(entry)))
	}
	fmt.Println("ok", tree.N, tree.Hash)
}
