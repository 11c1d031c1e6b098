package kong

import "reflect"

// methodByName is reflect.Value.MethodByName for the methods that Kong looks for. The linker sees
// their names, so it can leave out the methods of all types that nobody calls.
func methodByName(value reflect.Value, name string) reflect.Value {
	switch name {
	case "AfterApply":
		return value.MethodByName("AfterApply")
	case "AfterRun":
		return value.MethodByName("AfterRun")
	case "BeforeApply":
		return value.MethodByName("BeforeApply")
	case "BeforeReset":
		return value.MethodByName("BeforeReset")
	case "BeforeResolve":
		return value.MethodByName("BeforeResolve")
	case "Run":
		return value.MethodByName("Run")
	}
	panic("kong: unknown method " + name)
}

// typeMethodByName is reflect.Type.MethodByName for the same methods.
func typeMethodByName(t reflect.Type, name string) (reflect.Method, bool) {
	switch name {
	case "AfterApply":
		return t.MethodByName("AfterApply")
	case "AfterRun":
		return t.MethodByName("AfterRun")
	case "BeforeApply":
		return t.MethodByName("BeforeApply")
	case "BeforeReset":
		return t.MethodByName("BeforeReset")
	case "BeforeResolve":
		return t.MethodByName("BeforeResolve")
	case "Run":
		return t.MethodByName("Run")
	}
	panic("kong: unknown method " + name)
}
