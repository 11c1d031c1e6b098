package server

import (
	"gcp-metadata-emulator/server/cloudrun"
	"gcp-metadata-emulator/server/compute"
	"gcp-metadata-emulator/server/guard"
	"gcp-metadata-emulator/server/iamcredentials"
	"gcp-metadata-emulator/server/neighbour"
	"gcp-metadata-emulator/server/purpose"
	"gcp-metadata-emulator/server/resourcemanager"
	"gcp-metadata-emulator/server/token"
	"gcp-metadata-emulator/server/userinfo"
	"gcp-metadata-emulator/server/world"
)

// newPurposes returns the judge of tokens and their purposes.
func newPurposes(config Config, issuer *token.Issuer, callers *guard.Guard, to *doors) *purpose.Judge {
	return purpose.New(purpose.Config{
		Worlds: to.worlds, Issuer: issuer, Clock: config.Clock, Guard: callers, APIs: apis, AtDoor: to.judge,
	})
}

// apis returns the Google APIs of the emulator, and of the neighbours of a world.
func apis(w *world.World) []guard.API {
	list := []guard.API{iamcredentials.API(), guard.IAM(), resourcemanager.API(), cloudrun.API(), compute.API(), userinfo.API()}
	for _, one := range w.Neighbours {
		list = append(list, neighbour.API(one))
	}
	return list
}
