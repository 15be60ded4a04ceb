from drugpred.data.labelled import load_data as load_data
from drugpred.data.labelled import simulate as simulate
from drugpred.model import Model as Model
from drugpred.model import load as load
from drugpred.training.stored_pipeline import load_pipeline as load_pipeline

__version__: str
