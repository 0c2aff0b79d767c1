"""Do better ImageNet models transfer better?

Networks pretrained on ImageNet are transferred to datasets, and a study says
what that shows. Every subpackage is a word of that sentence.
"""

__version__ = '0.1.0'
