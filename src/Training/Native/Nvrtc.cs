using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// NVIDIA's run-time compiler: kernels as source, compiled once for the card at hand and kept on disk by architecture and source. It
/// comes with every CUDA build of PyTorch.
/// </summary>
internal static unsafe class Nvrtc
{
    private static readonly string[] Names = ["libnvrtc.so.13", "libnvrtc.so.12"];

    /// <summary>Beside libtorch, as PyTorch's wheels lay it.</summary>
    private static readonly string[] Folders = ["", "../../nvidia/cu13/lib", "../../nvidia/cuda_nvrtc/lib"];

    private static readonly Lazy<nint> Library = new(Find);

    public static bool IsPresent => Library.Value != 0;

    /// <returns>The machine code for <paramref name="architecture"/>, e.g. sm_90.</returns>
    /// <param name="defines">Preprocessor symbols, e.g. FP16.</param>
    /// <exception cref="CudaException">The compiler's own words.</exception>
    public static byte[] Compile(string source, string architecture, params IReadOnlyList<string> defines)
    {
        int major, minor;
        Check(((delegate* unmanaged<int*, int*, int>)Export("nvrtcVersion"))(&major, &minor), "nvrtcVersion");
        string[] options =
            [$"--gpu-architecture={architecture}", "--std=c++17", "-default-device", .. defines.Select(symbol => $"-D{symbol}")];
        var key = SHA256.HashData(Encoding.UTF8.GetBytes($"{major}.{minor}\n{string.Join(' ', options)}\n{source}"));
        var kept = Path.Combine(NativeCache.Folder, $"kernels-{architecture}-{Convert.ToHexString(key)[..16]}.cubin");
        if (File.Exists(kept)) return File.ReadAllBytes(kept);
        var code = CompileAnew(source, options);
        NativeCache.Keep(kept, code);
        return code;
    }

    private static byte[] CompileAnew(string source, string[] options)
    {
        nint program, text = Marshal.StringToCoTaskMemUTF8(source), name = Marshal.StringToCoTaskMemUTF8("kernels.cu");
        var words = stackalloc nint[options.Length];
        for (var i = 0; i < options.Length; i++) words[i] = Marshal.StringToCoTaskMemUTF8(options[i]);
        try
        {
            var create = (delegate* unmanaged<nint*, nint, nint, int, nint*, nint*, int>)Export("nvrtcCreateProgram");
            Check(create(&program, text, name, 0, null, null), "nvrtcCreateProgram");
            var compiled = ((delegate* unmanaged<nint, int, nint*, int>)Export("nvrtcCompileProgram"))(program, options.Length, words);
            if (compiled != 0)
                throw new CudaException($"NVRTC could not compile our kernels: {Encoding.UTF8.GetString(Bytes(program, "ProgramLog"))}");
            var code = Bytes(program, "CUBIN");
            Check(((delegate* unmanaged<nint*, int>)Export("nvrtcDestroyProgram"))(&program), "nvrtcDestroyProgram");
            return code;
        }
        finally
        {
            Marshal.FreeCoTaskMem(text);
            Marshal.FreeCoTaskMem(name);
            for (var i = 0; i < options.Length; i++) Marshal.FreeCoTaskMem(words[i]);
        }
    }

    private static byte[] Bytes(nint program, string what)
    {
        nuint size;
        Check(((delegate* unmanaged<nint, nuint*, int>)Export($"nvrtcGet{what}Size"))(program, &size), $"nvrtcGet{what}Size");
        var bytes = new byte[size];
        fixed (byte* start = bytes)
            Check(((delegate* unmanaged<nint, byte*, int>)Export($"nvrtcGet{what}"))(program, start), $"nvrtcGet{what}");
        return bytes;
    }

    private static nint Export(string function) => NativeLibrary.GetExport(Library.Value, function);

    private static void Check(int code, string call)
    {
        if (code != 0) throw new CudaException($"{call} failed with {code}.");
    }

    private static nint Find()
    {
        var libTorch = LibTorch.Load();
        var places = Names.Concat(Folders.SelectMany(folder => Names.Select(name => Path.Combine(libTorch, folder, name))));
        foreach (var place in places)
            if (NativeLibrary.TryLoad(place, out var handle)) return handle;
        return 0;
    }
}

/// <summary>A CUDA library refused; the message is for the user.</summary>
public sealed class CudaException(string message) : Exception(message);
