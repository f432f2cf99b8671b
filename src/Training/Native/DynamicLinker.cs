using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>The dynamic linker's own calls, for what <see cref="NativeLibrary"/> does not offer: global symbols and reasons.</summary>
internal static partial class DynamicLinker
{
    private const int Now = 2, Global = 0x100;

    /// <summary>Loads a library and gives its symbols to all loaded later: TorchSharp's shim finds libtorch that way.</summary>
    /// <exception cref="LibTorchException">The linker's own reason.</exception>
    public static void OpenGlobal(string path)
    {
        if (dlopen(path, Now | Global) == 0) throw new LibTorchException($"{path} could not be loaded: {LastError()}.");
    }

    public static bool IsDefined(string symbol) => dlsym(0, symbol) != 0;

    /// <summary>Bytes of what a symbol names, as its library says; null where it is not defined.</summary>
    public static unsafe long? SizeOf(string symbol)
    {
        const int symbolEntry = 1, infoBytes = 32, sizeAt = 16; // RTLD_DL_SYMENT, Dl_info, Elf64_Sym.st_size
        var place = dlsym(0, symbol);
        var info = stackalloc byte[infoBytes];
        byte* entry = null;
        return place != 0 && dladdr1(place, info, &entry, symbolEntry) != 0 && entry is not null ? *(long*)(entry + sizeAt) : null;
    }

    public static string ReasonFor(string path) => dlopen(path, 1) == 0 ? LastError() : "it loads now";

    private static string LastError() => Marshal.PtrToStringUTF8(dlerror()) ?? "no reason given";

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint dlopen(string path, int flags);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint dlsym(nint handle, string symbol);

    [LibraryImport("libc")]
    private static unsafe partial int dladdr1(nint place, byte* info, byte** entry, int flags);

    [LibraryImport("libc")]
    private static partial nint dlerror();
}
