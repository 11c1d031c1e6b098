#!/bin/sh
# Asks the programs of google-compute-engine-oslogin about users, in a mount namespace of its own: they
# read and write files in /etc.
set -u
copy=$1/etc
cp -a /etc "$copy" 2>/dev/null # some files are not for everybody
mount --bind "$copy" /etc
sed -i 's/^passwd:.*/passwd: files cache_oslogin oslogin/; s/^group:.*/group: files cache_oslogin oslogin/' /etc/nsswitch.conf
say() {
	echo "$1: $(shift && "$@" 2>/dev/null | tr '\n' ' ')"
}
say user getent passwd dev
say user-by-id getent passwd 20001
say stranger getent passwd stranger
say keys google_authorized_keys dev
say keys-of-other google_authorized_keys ops_example_com
say keys-of-stranger google_authorized_keys stranger
google_oslogin_nss_cache 2>/dev/null
say group getent group developers
say groups id -Gn dev
say cache cut -d: -f1,3 /etc/oslogin_passwd.cache
