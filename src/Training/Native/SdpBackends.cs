using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// Which kernels attention may take, for the whole process. cuDNN's makes a plan for every length it has not seen, half a second and more
/// each time, and a training set's samples nearly all differ in length: so it is off.
/// </summary>
internal static unsafe class SdpBackends
{
    public static void DisallowCudnn()
    {
        var main = NativeLibrary.GetMainProgramHandle();
        var context = ((delegate* unmanaged<nint>)NativeLibrary.GetExport(main, "_ZN2at13globalContextEv"))();
        ((delegate* unmanaged<nint, byte, void>)NativeLibrary.GetExport(main, "_ZN2at7Context14setSDPUseCuDNNEb"))(context, 0);
    }
}
