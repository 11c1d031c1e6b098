package iam

// The permissions for logging in to virtual machines with OS Login
// (https://cloud.google.com/compute/docs/oslogin/set-up-oslogin#configure_users).
const (
	LogIn        = "compute.instances.osLogin"
	LogInAsAdmin = "compute.instances.osAdminLogin"
)
