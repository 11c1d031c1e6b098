package main

import (
	"context"
	"errors"

	"cloud.google.com/go/compute/metadata"
)

type metadataReport struct {
	OnGCE              bool              `json:"onGCE"`
	ProjectID          string            `json:"projectID"`
	NumericProjectID   string            `json:"numericProjectID"`
	InstanceID         string            `json:"instanceID"`
	InstanceName       string            `json:"instanceName"`
	Hostname           string            `json:"hostname"`
	Zone               string            `json:"zone"`
	Email              string            `json:"email"`
	UniverseDomain     string            `json:"universeDomain"`
	Scopes             []string          `json:"scopes"`
	InstanceTags       []string          `json:"instanceTags"`
	InstanceAttributes map[string]string `json:"instanceAttributes"`
	ProjectAttributes  map[string]string `json:"projectAttributes"`
	// NotDefined is the suffix in the library's error for an attribute that does not exist.
	NotDefined string `json:"notDefined"`
}

// readMetadata reads all metadata for which cloud.google.com/go/compute/metadata has a function.
func readMetadata(ctx context.Context) (metadataReport, error) {
	var errs []error
	text := func(get func(context.Context) (string, error)) string {
		value, err := get(ctx)
		errs = append(errs, err)
		return value
	}
	list := func(get func(context.Context) ([]string, error)) []string {
		values, err := get(ctx)
		errs = append(errs, err)
		return values
	}
	report := metadataReport{
		OnGCE:            metadata.OnGCEWithContext(ctx),
		ProjectID:        text(metadata.ProjectIDWithContext),
		NumericProjectID: text(metadata.NumericProjectIDWithContext),
		InstanceID:       text(metadata.InstanceIDWithContext),
		InstanceName:     text(metadata.InstanceNameWithContext),
		Hostname:         text(metadata.HostnameWithContext),
		Zone:             text(metadata.ZoneWithContext),
		InstanceTags:     list(metadata.InstanceTagsWithContext),
		Email: text(func(ctx context.Context) (string, error) {
			return metadata.EmailWithContext(ctx, "default")
		}),
		UniverseDomain: text(func(ctx context.Context) (string, error) {
			return metadata.GetWithContext(ctx, "universe/universe-domain")
		}),
		Scopes: list(func(ctx context.Context) ([]string, error) {
			return metadata.ScopesWithContext(ctx, "default")
		}),
	}
	var err error
	report.InstanceAttributes, err = attributes(ctx, metadata.InstanceAttributesWithContext, metadata.InstanceAttributeValueWithContext)
	errs = append(errs, err)
	report.ProjectAttributes, err = attributes(ctx, metadata.ProjectAttributesWithContext, metadata.ProjectAttributeValueWithContext)
	errs = append(errs, err)
	report.NotDefined, err = undefinedAttribute(ctx)
	return report, errors.Join(append(errs, err)...)
}

func attributes(ctx context.Context, names func(context.Context) ([]string, error), value func(context.Context, string) (string, error)) (map[string]string, error) {
	keys, err := names(ctx)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(keys))
	for _, key := range keys {
		if key == "" {
			continue // the library reads an empty listing as one empty name
		}
		if values[key], err = value(ctx, key); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// undefinedAttribute requests an attribute that does not exist. The library has a separate error
// for it.
func undefinedAttribute(ctx context.Context) (string, error) {
	value, err := metadata.InstanceAttributeValueWithContext(ctx, "nobody-set-this")
	if err == nil {
		return "", errors.New("an attribute that nobody set has the value " + value)
	}
	if notDefined, ok := errors.AsType[metadata.NotDefinedError](err); ok {
		return string(notDefined), nil
	}
	return "", err
}
