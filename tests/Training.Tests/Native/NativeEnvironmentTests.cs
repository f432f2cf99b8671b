using System.Runtime.InteropServices;
using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Native;

public sealed partial class NativeEnvironmentTests
{
    [Fact]
    public void A_default_reaches_native_code_and_gives_way_to_what_is_set()
    {
        NativeEnvironment.SetDefault("PHI3V_TEST_DEFAULT", "first");
        NativeEnvironment.SetDefault("PHI3V_TEST_DEFAULT", "second");

        Assert.Equal("first", Marshal.PtrToStringUTF8(getenv("PHI3V_TEST_DEFAULT")));
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint getenv(string name);
}
