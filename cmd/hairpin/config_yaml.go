package main

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// configEntry is a key of a configuration file and what stands behind it.
type configEntry struct {
	where string // FILE:LINE:COLUMN of the key
	key   string
	texts []string
	err   error // why there are no texts
}

// parseConfigFile reads a YAML mapping of keys to scalars or lists of scalars. It keeps
// scalars as they are written: what is a number is for the setting to say. Anchors, tags
// and nested mappings have no use here and are faults of their entries. The error is a
// [*configFault]; no entry is returned with one.
func parseConfigFile(name string, text []byte) ([]configEntry, error) {
	if !utf8.Valid(text) {
		return nil, &configFault{where: name, problem: "is not UTF-8 text"}
	}
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(text, []byte("\uFEFF"))))
	if t := tooDeep(tokens); t != nil {
		return nil, &configFault{where: position(name, t), problem: "is a list in a list", hint: "a key takes one value or a list of values"}
	}
	// Duplicates are looked for together with all other faults, not by the parser.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxFault(name, err)
	}
	return entriesOf(name, file)
}

// tooDeep returns the first token that begins a list inside a list of a list. The
// parser would take minutes over a file of brackets.
func tooDeep(tokens token.Tokens) *token.Token {
	const deepest = 2
	depth := 0
	for i, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			if i > 0 && tokens[i-1].Type == token.SequenceEntryType {
				return t
			}
		}
		if depth > deepest {
			return t
		}
	}
	return nil
}

func position(name string, t *token.Token) string {
	return fmt.Sprintf("%s:%d:%d", name, t.Position.Line, t.Position.Column)
}

// syntaxFault leaves out the lines of the file that the parser's own text shows.
func syntaxFault(name string, err error) error {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		return &configFault{where: name, problem: "is not YAML"}
	}
	return &configFault{where: position(name, syntax.GetToken()), problem: "is not YAML: " + syntax.GetMessage()}
}

func entriesOf(name string, file *ast.File) ([]configEntry, error) {
	var entries []configEntry
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		mapping, ok := doc.Body.(*ast.MappingNode)
		if !ok || i > 0 {
			return nil, notMapping(position(name, doc.Body.GetToken()))
		}
		for _, pair := range mapping.Values {
			where := position(name, pair.Key.GetToken())
			key, ok := pair.Key.(*ast.StringNode)
			if !ok {
				return nil, notMapping(where)
			}
			texts, err := textsOf(pair.Value)
			entries = append(entries, configEntry{where, key.Value, texts, err})
		}
	}
	return entries, nil
}

func notMapping(where string) error {
	return &configFault{where: where, problem: "is not part of one mapping of keys to values", hint: "write one KEY: VALUE a line"}
}

func textsOf(node ast.Node) ([]string, error) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		text, err := textOf(node)
		if err != nil {
			return nil, err
		}
		return []string{text}, nil
	}
	texts := make([]string, len(list.Values))
	for i, item := range list.Values {
		text, err := textOf(item)
		if err != nil {
			return nil, fmt.Errorf("entry %d %w", i+1, err)
		}
		texts[i] = text
	}
	return texts, nil
}

func textOf(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New("has no value; leave the key out for its default, or write [] for an empty list")
	}
	return "", errors.New("takes one value or a list of values, without anchors, tags and mappings")
}
