package googleapi

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"gcp-metadata-emulator/server/order"
)

// PageSizes are the limits of the pages of a list.
type PageSizes struct{ Default, Largest int }

// Page is the part of a list that a client asks for.
type Page struct {
	size  int
	after string // the name of the last item before the page
}

// ReadPage returns the page that the query of a request asks for.
func ReadPage(r *http.Request, sizes PageSizes) (Page, error) {
	query := r.URL.Query()
	size := 0
	if text := query.Get("pageSize"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil {
			size = -1
		}
		if size < 0 {
			return Page{}, InvalidArgument(fmt.Sprintf("Invalid value at 'page_size' (TYPE_INT32), %q", text))
		}
	}
	return sizes.Page(size, query.Get("pageToken"))
}

// Page returns the page of a size, or of the default size for 0, that a token leads to.
func (s PageSizes) Page(size int, token string) (Page, error) {
	after, err := base64.RawURLEncoding.DecodeString(token)
	switch {
	case err != nil:
		return Page{}, InvalidArgument("The page token is not valid.")
	case size < 0:
		return Page{}, InvalidArgument("The page size is negative.")
	}
	return Page{min(cmp.Or(size, s.Default), s.Largest), string(after)}, nil
}

// Cut returns the items of a page, and the token of the next page, if any. It sorts the items by
// their names, so that pages stay correct while items come and go.
func Cut[T any](page Page, items []T, name func(T) string) (part []T, next string) {
	rest := slices.DeleteFunc(slices.Clone(items), func(item T) bool { return name(item) <= page.after })
	order.Sort(rest, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	if len(rest) > page.size {
		rest = rest[:page.size]
		next = base64.RawURLEncoding.EncodeToString([]byte(name(rest[page.size-1])))
	}
	return rest, next
}
