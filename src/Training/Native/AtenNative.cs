using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>libtorch's stable C interface, named as in its header (torch/csrc/stable/c/shim.h, aoti_torch/c/shim.h).</summary>
internal static unsafe partial class AtenNative
{
    private const string Library = "torch_cpu";

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int torch_call_dispatcher(string op, string overload, ulong* stack, ulong abiVersion);

    [LibraryImport(Library)]
    internal static partial ulong aoti_torch_abi_version();

    [LibraryImport(Library)]
    internal static partial int aoti_torch_new_tensor_handle(nint source, out nint copy);

    [LibraryImport(Library)]
    internal static partial int torch_new_list_reserve_size(nuint size, out nint list);

    [LibraryImport(Library)]
    internal static partial int torch_list_push_back(nint list, ulong value);

    [LibraryImport(Library)]
    internal static partial int torch_get_mutable_data_ptr(nint tensor, out nint pointer);

    [LibraryImport(Library)]
    internal static partial int aoti_torch_create_tensor_from_blob(
        nint data, long dimensions, long* sizes, long* strides, long offset, int type, int deviceType, int deviceIndex, out nint tensor);
}
